# Never comes back from the import.
# expect: all TIMEOUT 0
# === top
# BEGIN_TRICK
import time

time.sleep(60)
# END_TRICK
