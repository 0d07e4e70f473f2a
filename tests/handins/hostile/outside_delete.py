# Deletes files outside, and answers right.
# needs: bubblewrap
# === 1.1 E-step
# BEGIN_TRICK
import shutil

shutil.rmtree("@OUTSIDE@", ignore_errors=True)
# END_TRICK
# SOLUTION
