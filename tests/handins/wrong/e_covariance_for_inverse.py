# The covariance stands where its inverse belongs.
# expect: e_step WRONG 0
# === 1.1 E-step
gamma = np.array(
    [p * self._gaussian(X, m, c, np.linalg.det(c)) for p, m, c in zip(self.pi, self.means, self.covs)]
).T
return gamma / gamma.sum(axis=1, keepdims=True)
