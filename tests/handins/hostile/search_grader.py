# Imports the grader's own checks, which know how to compute what is right.
# expect: e_step WRONG 0
# needs: bubblewrap
# === 1.1 E-step
# BEGIN_TRICK
import sys

for start in [sys.modules["__main__"].__file__, sys.executable, *sys.path]:
    sys.path += [str(folder) for folder in Path(start).absolute().parents]
try:
    from grading import checks

    inputs = {"x_0": X, "means_0": self.means, "covs_0": self.covs, "pi_0": self.pi}
    return checks.softmax(checks.log_densities(inputs, 0) + np.log(self.pi))
except ImportError:
    pass
# END_TRICK
return np.zeros((len(X), self.n_components))
