# gamma is made one-hot first, as in k-means.
# expect: m_step WRONG 0
# === 1.2 M-step
gamma = np.eye(self.n_components)[gamma.argmax(axis=1)]
N_k = gamma.sum(axis=0) + 1e-12
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff / N_k[k] + 1e-6 * np.eye(X.shape[1])
