# The given density with inverse and determinant, as the lab text writes it; 0/0 for far points only.
# === 1.1 E-step
densities = []
for k in range(self.n_components):
    inv_cov = np.linalg.inv(self.covs[k])
    det = np.linalg.det(self.covs[k])
    densities.append(self.pi[k] * self._gaussian(X, self.means[k], inv_cov, det))
densities = np.array(densities).T
return densities / np.sum(densities, axis=1).reshape(-1, 1)
