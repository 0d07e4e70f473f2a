# A tiny number keeps far points from 0/0: their rows are zeros instead of NaN, which costs nothing either.
# === 1.1 E-step
gamma = np.empty((len(X), self.n_components))
for k in range(self.n_components):
    gamma[:, k] = self.pi[k] * self._gaussian(X, self.means[k], np.linalg.inv(self.covs[k]), np.linalg.det(self.covs[k]))
total = gamma.sum(axis=1, keepdims=True) + 1e-300
return gamma / total
