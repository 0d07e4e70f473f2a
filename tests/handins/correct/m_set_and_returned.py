# The new parameters are set, and returned as well.
# === 1.2 M-step
N_k = gamma.sum(0)
self.means = np.dot(gamma.T, X) / N_k.reshape(-1, 1)
self.covs = np.stack([np.dot(gamma[:, k] * (X - m).T, X - m) / N_k[k] for k, m in enumerate(self.means)])
self.pi = N_k / N_k.sum()
return self.means, self.covs, self.pi
