# Divided by the sum over everything: rows in the right proportion that do not sum to 1.
# expect: e_step WRONG 5
# === 1.1 E-step
from scipy.stats import multivariate_normal

gamma = np.array([p * multivariate_normal.pdf(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)]).T
return gamma / gamma.sum()
