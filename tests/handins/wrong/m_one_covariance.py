# Every component gets the covariance of all data.
# expect: m_step WRONG 5
# === 1.2 M-step
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
self.covs = np.array([np.cov(X.T).reshape(X.shape[1], -1)] * self.n_components)
