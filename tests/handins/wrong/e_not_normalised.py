# pi_k N(x | k), not divided by the sum of its row.
# expect: e_step WRONG 5
# === 1.1 E-step
gamma = np.zeros((len(X), self.n_components))
for k in range(self.n_components):
    gamma[:, k] = self.pi[k] * np.exp(log_gaussian(X, self.means[k], self.covs[k]))
return gamma
