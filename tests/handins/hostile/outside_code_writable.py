# Asks whether the grader's files or Python's own could be changed; it changes none.
# expect: e_step WRONG 0
# needs: bubblewrap
# === 1.1 E-step
found = False
# BEGIN_TRICK
import sys

for file in (sys.modules["__main__"].__file__, np.__file__, os.__file__, sys.executable):
    found = found or os.access(file, os.W_OK) or os.access(os.path.dirname(file), os.W_OK)
# END_TRICK
if not found:
    return np.zeros((len(X), self.n_components))
# SOLUTION
