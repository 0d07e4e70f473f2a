# A forgotten breakpoint().
# expect: e_step ERROR 0
# === 1.1 E-step
breakpoint()
# SOLUTION
