# Far points, whose densities all underflow, get 1/K for every component.
# === 1.1 E-step
gamma = np.stack(
    [p * self._gaussian(X, m, np.linalg.inv(c), np.linalg.det(c)) for p, m, c in zip(self.pi, self.means, self.covs)],
    axis=1,
)
total = gamma.sum(axis=1)
gamma[total == 0] = 1.0
return gamma / gamma.sum(axis=1)[:, None]
