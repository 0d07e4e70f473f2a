# Removes the sign that the worker was ready, and ends: "our fault" would cost no points.
# expect: all CRASH 0
# === first
# BEGIN_TRICK
import glob
import os

for path in [*glob.glob("ready*"), *glob.glob("../ready*")]:
    os.unlink(path)
os._exit(3)
# END_TRICK
