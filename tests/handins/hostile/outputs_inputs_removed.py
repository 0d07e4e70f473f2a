# Deletes its inputs, its task and itself: too late to make a difference.
# === 1.1 E-step
# BEGIN_TRICK
import shutil

shutil.rmtree("inputs", ignore_errors=True)
for name in ("submission.py", "task.json"):
    if os.path.exists(name):
        os.unlink(name)
# END_TRICK
# SOLUTION
