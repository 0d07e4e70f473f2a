# The arrays of __init__ are filled, not replaced.
# === 1.2 M-step
N_k = np.sum(gamma, axis=0)
self.pi[:] = N_k / X.shape[0]
self.means[...] = (gamma.T @ X) / N_k[:, np.newaxis]
for k in range(self.n_components):
    diff = X - self.means[k]
    np.matmul((gamma[:, [k]] * diff).T, diff, out=self.covs[k])
    self.covs[k] /= N_k[k]
