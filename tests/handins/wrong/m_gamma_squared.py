# gamma enters the covariances twice.
# expect: m_step WRONG 5
# === 1.2 M-step
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
for k in range(self.n_components):
    diff = gamma[:, k, None] * (X - self.means[k])
    self.covs[k] = diff.T @ diff / N_k[k]
