# Removes the sign that the worker was ready, and goes on: its limits must hold all the same.
# === first
# BEGIN_TRICK
import glob
import os

for path in glob.glob("ready*"):
    os.unlink(path)
# END_TRICK
