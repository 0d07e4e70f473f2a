# One maximum for all samples: points near the others' underflow when one lies far away.
# expect: e_step WRONG 0
# === 1.1 E-step
logs = np.stack([np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
gamma = np.exp(logs - np.abs(logs).max())
return gamma / gamma.sum(axis=1, keepdims=True)
