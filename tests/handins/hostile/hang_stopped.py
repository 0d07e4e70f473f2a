# Stops itself; a child of its own would end it after 50 s.
# expect: e_step TIMEOUT 0
# === 1.1 E-step
# BEGIN_TRICK
import signal
import time

me = os.getpid()
if os.fork() == 0:
    time.sleep(50)
    os.kill(me, signal.SIGKILL)
    os._exit(0)
os.kill(me, signal.SIGSTOP)
time.sleep(60)
# END_TRICK
# SOLUTION
