# Kills itself.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
import signal

os.kill(os.getpid(), signal.SIGKILL)
# END_TRICK
# SOLUTION
