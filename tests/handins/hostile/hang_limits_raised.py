# Raises its own limits, ignores their signals, and computes on.
# expect: e_step TIMEOUT 0
# === 1.1 E-step
# BEGIN_TRICK
import resource
import signal
import time

signal.signal(signal.SIGXCPU, signal.SIG_IGN)
for limit in (resource.RLIMIT_CPU, resource.RLIMIT_AS):
    for value in (resource.RLIM_INFINITY, resource.getrlimit(limit)[1]):
        try:
            resource.setrlimit(limit, (value, value))
            break
        except (OSError, ValueError):
            pass
end = time.monotonic() + 60
while time.monotonic() < end:
    pass
# END_TRICK
# SOLUTION
