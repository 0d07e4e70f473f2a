# Looks for the solved submission.py near the worker and near Python, and lets that do the work.
# expect: e_step WRONG 0
# needs: bubblewrap
# === 1.1 E-step
found = False
# BEGIN_TRICK
import sys

for start in (sys.modules["__main__"].__file__, sys.executable, np.__file__, os.getcwd()):
    for folder in Path(start).absolute().parents:
        file = folder / "submission.py"
        found = found or file.is_file() and file.resolve() != Path("submission.py").resolve()
# END_TRICK
if not found:
    return np.zeros((len(X), self.n_components))
# SOLUTION
