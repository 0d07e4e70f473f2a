# pi and covariances only; the covariances are around the means before the step.
# expect: m_step WRONG 2
# === 1.2 M-step
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff / N_k[k]
