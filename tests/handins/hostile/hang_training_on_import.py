# A long training on import.
# expect: all TIMEOUT 0
# === end
# BEGIN_TRICK
import time

end = time.monotonic() + 60
while time.monotonic() < end:
    GMM(10, 5).fit(np.random.default_rng(0).normal(size=(5000, 5)), max_iter=20)
# END_TRICK
