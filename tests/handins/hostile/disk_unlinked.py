# Files that are in no folder any more, but still open.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
import time

kept = []
for i in range(4):
    kept.append(open(f"f{i}", "wb"))
    os.unlink(f"f{i}")
    kept[-1].write(bytes(24 * 2**20))
    kept[-1].flush()
time.sleep(5)
# END_TRICK
# SOLUTION
