# The mixing weights are multiplied in twice.
# expect: e_step WRONG 0
# === 1.1 E-step
logs = np.stack([2 * np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
gamma = np.exp(logs - logs.max(axis=1, keepdims=True))
return gamma / gamma.sum(axis=1, keepdims=True)
