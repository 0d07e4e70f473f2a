# Forty children, one after the other, that nobody waits for.
# === 1.1 E-step
# BEGIN_TRICK
import time

if not os.path.exists("zombies"):
    open("zombies", "w").close()
    for _ in range(40):
        if os.fork() == 0:
            os._exit(0)
        time.sleep(0.01)
# END_TRICK
# SOLUTION
