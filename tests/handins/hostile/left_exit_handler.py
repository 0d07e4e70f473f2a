# Sleeps for a minute when the interpreter ends.
# === top
# BEGIN_TRICK
import atexit
import time

atexit.register(time.sleep, 60)
# END_TRICK
