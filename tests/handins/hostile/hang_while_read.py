# The answer is an object that never finishes turning into an array.
# expect: e_step TIMEOUT 0
# === 1.1 E-step
# BEGIN_TRICK
import time


class Slow:
    def __array__(self, dtype=None, copy=None):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            pass
        return np.zeros(3)


return Slow()
# END_TRICK
# SOLUTION
