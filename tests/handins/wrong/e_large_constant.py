# 1e-10 in the denominator, more than densities in eight dimensions: rows do not sum to 1.
# expect: e_step WRONG 5
# === 1.1 E-step
gamma = np.array([p * np.exp(log_gaussian(X, m, c)) for p, m, c in zip(self.pi, self.means, self.covs)]).T
return gamma / (gamma.sum(axis=1, keepdims=True) + 1e-10)
