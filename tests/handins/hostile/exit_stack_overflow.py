# Overflows the C stack.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
import sys

sys.setrecursionlimit(10**9)


class Nested:
    def __repr__(self):
        return repr(self)


repr(Nested())
# END_TRICK
# SOLUTION
