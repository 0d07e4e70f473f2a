# Sleeps, in a session of its own, with every signal ignored that can be.
# expect: m_step TIMEOUT 0
# === 1.2 M-step
# BEGIN_TRICK
import signal
import time

for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
if os.fork() == 0:
    os.setsid()
    time.sleep(60)
    os._exit(0)
time.sleep(60)
# END_TRICK
# SOLUTION
