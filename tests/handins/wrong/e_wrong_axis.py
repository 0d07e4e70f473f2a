# Every column sums to 1 instead of every row.
# expect: e_step WRONG 5
# === 1.1 E-step
from scipy.stats import multivariate_normal

gamma = np.array([p * multivariate_normal.pdf(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)]).T
return gamma / gamma.sum(axis=0)
