# The minus in the exponent is missing: infinity over infinity.
# expect: e_step WRONG 0
# === 1.1 E-step
gamma = np.zeros((len(X), self.n_components))
for k in range(self.n_components):
    diff = X - self.means[k]
    maha = np.einsum("ni,ij,nj->n", diff, np.linalg.inv(self.covs[k]), diff)
    gamma[:, k] = self.pi[k] * np.exp(0.5 * maha * 100) / np.sqrt(np.linalg.det(self.covs[k]))
return gamma / gamma.sum(axis=1, keepdims=True)
