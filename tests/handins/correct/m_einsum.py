# One einsum for all covariances, a ridge of 1e-6.
# === 1.2 M-step
Nk = gamma.sum(axis=0)
self.pi = Nk / len(X)
self.means = np.einsum("nk,nd->kd", gamma, X) / Nk[:, None]
diff = X[:, None, :] - self.means
self.covs = np.einsum("nk,nki,nkj->kij", gamma, diff, diff) / Nk[:, None, None]
self.covs += 1e-6 * np.eye(X.shape[1])
