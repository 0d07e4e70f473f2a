# "diff = X; diff -= mean" shifts X for every later component.
# expect: e_step WRONG 0
# === 1.1 E-step
gamma = np.zeros((len(X), self.n_components))
for k in range(self.n_components):
    diff = X
    diff -= self.means[k]
    maha = np.sum(diff @ np.linalg.inv(self.covs[k]) * diff, axis=1)
    gamma[:, k] = self.pi[k] * np.exp(-0.5 * maha) / np.sqrt(np.linalg.det(self.covs[k]))
return gamma / gamma.sum(axis=1, keepdims=True)
