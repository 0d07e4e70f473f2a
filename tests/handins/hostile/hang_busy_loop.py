# A loop that never ends.
# expect: e_step TIMEOUT 0
# === 1.1 E-step
# BEGIN_TRICK
import time

end = time.monotonic() + 60
while time.monotonic() < end:
    pass
# END_TRICK
# SOLUTION
