# Covariance as E[x x^T] minus mean mean^T.
# === 1.2 M-step
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
second = np.einsum("nk,ni,nj->kij", gamma, X, X, optimize=True) / N_k[:, None, None]
self.covs = second - self.means[:, :, None] * self.means[:, None, :]
