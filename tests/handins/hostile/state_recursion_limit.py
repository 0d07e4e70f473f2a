# Leaves no room for the worker's own calls.
# expect: e_step CRASH 0
# === 1.1 E-step
gamma = np.array([p * np.exp(log_gaussian(X, m, c)) for p, m, c in zip(self.pi, self.means, self.covs)]).T
# BEGIN_TRICK
import sys

depth, frame = 0, sys._getframe()
while frame:
    depth, frame = depth + 1, frame.f_back
sys.setrecursionlimit(depth + 5)
# END_TRICK
return gamma / gamma.sum(axis=1, keepdims=True)
