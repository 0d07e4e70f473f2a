# Parameters that come out Fortran-ordered or transposed.
# === 1.2 M-step
N_k = gamma.sum(axis=0)
self.pi = np.asfortranarray(N_k / len(X))
self.means = ((X.T @ gamma) / N_k).T  # (D, K) transposed
covs = np.zeros((X.shape[1], X.shape[1], len(N_k)), order="F")
for k in range(len(N_k)):
    diff = X - self.means[k]
    covs[:, :, k] = (diff * gamma[:, k : k + 1]).T @ diff / N_k[k]
self.covs = np.moveaxis(covs, -1, 0)
