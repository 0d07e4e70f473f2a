# Right, but X is shifted in place.
# expect: e_step WRONG 5
# === 1.1 E-step
shift = self.means.mean(axis=0)
X -= shift
logs = np.stack([np.log(p) + log_gaussian(X, m - shift, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
logs -= logs.max(axis=1, keepdims=True)
return np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
