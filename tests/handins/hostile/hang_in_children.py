# Two children compute without end; the parent only waits.
# expect: e_step TIMEOUT 0
# === 1.1 E-step
# BEGIN_TRICK
import time

end = time.monotonic() + 60
for _ in range(2):
    if os.fork() == 0:
        while time.monotonic() < end:
            pass
        os._exit(0)
for _ in range(2):
    os.wait()
# END_TRICK
# SOLUTION
