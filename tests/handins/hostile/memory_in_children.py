# Four children take 600 MB each: no process has much, all together have too much.
# expect: m_step MEMORY 0
# === 1.2 M-step
# BEGIN_TRICK
import time

for _ in range(4):
    if os.fork() == 0:
        taken = [np.ones(2**20) for _ in range(75)]  # 8 MiB each
        time.sleep(50)
        os._exit(0)
time.sleep(50)
# END_TRICK
# SOLUTION
