# Children that nobody waits for do the waiting, so that their time is added to no one's.
# expect: e_step TIMEOUT 0
# === 1.1 E-step
# BEGIN_TRICK
import signal
import time

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for i in range(12):
    if os.fork() == 0:
        end = time.process_time() + 2
        while time.process_time() < end:
            pass
        os._exit(0)
    time.sleep(1)
# END_TRICK
# SOLUTION
