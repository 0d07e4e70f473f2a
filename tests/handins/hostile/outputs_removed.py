# Removes the folder of the answers.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
import shutil

shutil.rmtree("outputs", ignore_errors=True)
# END_TRICK
# SOLUTION
