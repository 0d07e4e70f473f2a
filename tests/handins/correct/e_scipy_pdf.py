# scipy.stats densities, one component after the other; 0/0 for far points only.
# === top
from scipy.stats import multivariate_normal
# === 1.1 E-step
N = X.shape[0]
gamma = np.zeros((N, self.n_components))
for k in range(self.n_components):
    gamma[:, k] = self.pi[k] * multivariate_normal.pdf(X, mean=self.means[k], cov=self.covs[k])
gamma = gamma / gamma.sum(axis=1, keepdims=True)
return gamma
