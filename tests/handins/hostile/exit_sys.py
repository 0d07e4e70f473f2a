# sys.exit(0) in the middle.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
import sys

sys.exit(0)
# END_TRICK
# SOLUTION
