# Weights that sum to 1 over the samples, in a copy of gamma.
# === 1.2 M-step
w = gamma / gamma.sum(axis=0, keepdims=True)
self.pi = gamma.mean(axis=0)
self.means = w.T @ X
root = np.sqrt(w)
self.covs = np.array([a.T @ a for a in (root[:, k, None] * (X - self.means[k]) for k in range(w.shape[1]))])
