# Divided by the determinant instead of its root: right where all determinants are equal, as in the worked example.
# expect: e_step WRONG 0
# === 1.1 E-step
gamma = np.zeros((len(X), self.n_components))
for k in range(self.n_components):
    gamma[:, k] = self.pi[k] * self._gaussian(X, self.means[k], np.linalg.inv(self.covs[k]), np.linalg.det(self.covs[k]) ** 2)
return gamma / gamma.sum(axis=1, keepdims=True)
