# The covariances are computed and not stored.
# expect: m_step WRONG 5
# === 1.2 M-step
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
covs = np.einsum("nk,ni,nj->kij", gamma, X, X) / N_k[:, None, None]
