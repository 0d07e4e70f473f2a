# Endless recursion.
# expect: e_step ERROR 0
# === 1.1 E-step
# BEGIN_TRICK
return self._e_step(X)
# END_TRICK
# SOLUTION
