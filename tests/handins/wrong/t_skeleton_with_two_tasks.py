# The skeleton with the first two tasks done.
# base: skeleton
# expect: pca_fit ERROR 0
# expect: sample_from_gmm ERROR 0
# === 1.1 E-step
log_p = np.array([np.log(self.pi[k]) + log_gaussian(X, self.means[k], self.covs[k]) for k in range(self.n_components)])
p = np.exp(log_p - log_p.max(axis=0))
return (p / p.sum(axis=0)).T
# === 1.2 M-step
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff / N_k[k]
