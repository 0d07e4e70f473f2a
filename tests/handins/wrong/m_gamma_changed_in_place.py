# gamma is normalised in place; all three parameters are right.
# expect: m_step WRONG 5
# === 1.2 M-step
self.pi = gamma.mean(axis=0)
gamma /= gamma.sum(axis=0)
self.means = gamma.T @ X
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff
