# Only the variances are used.
# expect: e_step WRONG 0
# === 1.1 E-step
from scipy.stats import norm

gamma = np.zeros((len(X), self.n_components))
for k in range(self.n_components):
    gamma[:, k] = self.pi[k] * norm.pdf(X, self.means[k], np.sqrt(np.diag(self.covs[k]))).prod(axis=1)
return gamma / gamma.sum(axis=1, keepdims=True)
