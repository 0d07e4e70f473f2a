# Right, but (K, N).
# expect: e_step WRONG 0
# === 1.1 E-step
logs = np.stack([np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)])
gamma = np.exp(logs - logs.max(axis=0))
return gamma / gamma.sum(axis=0)
