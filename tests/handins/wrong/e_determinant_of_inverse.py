# The determinant of the inverse.
# expect: e_step WRONG 0
# === 1.1 E-step
gamma = np.zeros((len(X), self.n_components))
for k in range(self.n_components):
    inv = np.linalg.inv(self.covs[k])
    gamma[:, k] = self.pi[k] * self._gaussian(X, self.means[k], inv, np.linalg.det(inv))
return gamma / gamma.sum(axis=1, keepdims=True)
