# The mixing weights are left out.
# expect: e_step WRONG 5
# === 1.1 E-step
logs = np.stack([log_gaussian(X, m, c) for m, c in zip(self.means, self.covs)], axis=1)
gamma = np.exp(logs - logs.max(axis=1, keepdims=True))
return gamma / gamma.sum(axis=1, keepdims=True)
