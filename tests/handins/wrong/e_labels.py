# The most probable component of each sample, as in predict.
# expect: e_step WRONG 0
# === 1.1 E-step
logs = np.stack([np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
return logs.argmax(axis=1)
