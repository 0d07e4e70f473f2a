# Waits for a lock that it holds itself: no processor time, no end.
# expect: sample_from_gmm TIMEOUT 0
# === 5.1 sampling
# BEGIN_TRICK
import threading

lock = threading.Lock()
lock.acquire()
lock.acquire(timeout=60)
# END_TRICK
# SOLUTION
