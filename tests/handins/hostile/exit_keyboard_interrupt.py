# Pretends that somebody pressed Ctrl-C.
# expect: e_step ERROR 0
# === 1.1 E-step
# BEGIN_TRICK
raise KeyboardInterrupt
# END_TRICK
# SOLUTION
