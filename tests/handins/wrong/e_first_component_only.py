# "return" stands inside the loop.
# expect: e_step WRONG 0
# === 1.1 E-step
gamma = np.zeros((len(X), self.n_components))
for k in range(self.n_components):
    gamma[:, k] = self.pi[k] * np.exp(log_gaussian(X, self.means[k], self.covs[k]))
    return gamma / gamma.sum(axis=1, keepdims=True)
