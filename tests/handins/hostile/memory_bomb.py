# Takes memory as fast as it can, 2.5 GiB at most.
# expect: e_step MEMORY 0
# === 1.1 E-step
# BEGIN_TRICK
import time

taken = [np.ones(2**21) for _ in range(160)]  # 16 MiB each
time.sleep(50)
# END_TRICK
# SOLUTION
