# A fork bomb of five generations: 31 children, which would sleep for 50 s.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
import time

for _ in range(5):
    os.fork()
time.sleep(50)
os._exit(0)
# END_TRICK
# SOLUTION
