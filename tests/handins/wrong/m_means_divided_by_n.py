# The means are divided by N, and the covariances taken around them.
# expect: m_step WRONG 2
# === 1.2 M-step
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / len(X)
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff / N_k[k]
