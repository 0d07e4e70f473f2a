# gamma and the log-likelihood are returned together.
# expect: e_step WRONG 0
# === 1.1 E-step
from scipy.special import logsumexp

logs = np.stack([np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
norm = logsumexp(logs, axis=1, keepdims=True)
return np.exp(logs - norm), norm.sum()
