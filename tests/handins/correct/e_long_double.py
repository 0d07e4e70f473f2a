# Extended precision against underflow.
# === 1.1 E-step
gamma = np.zeros((len(X), self.n_components), dtype=np.longdouble)
for k in range(self.n_components):
    diff = X - self.means[k]
    maha = np.einsum("ni,ij,nj->n", diff, np.linalg.inv(self.covs[k]), diff).astype(np.longdouble)
    gamma[:, k] = self.pi[k] * np.exp(-maha / 2) / np.sqrt(np.longdouble(np.linalg.det(self.covs[k])))
return gamma / gamma.sum(axis=1, keepdims=True)
