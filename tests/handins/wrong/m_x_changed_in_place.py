# X is centred in place and all three parameters are right.
# expect: m_step WRONG 5
# === 1.2 M-step
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
last = 0
for k in range(self.n_components):
    X -= self.means[k] - last
    last = self.means[k]
    self.covs[k] = (gamma[:, k, None] * X).T @ X / N_k[k]
