# The row's maximum is taken off in the log domain, and the division forgotten.
# expect: e_step WRONG 5
# === 1.1 E-step
logs = np.stack([np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
return np.exp(logs - logs.max(axis=1, keepdims=True))
