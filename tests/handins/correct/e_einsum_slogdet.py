# One einsum for all components and slogdet; the row's maximum is taken off before exp.
# === 1.1 E-step
diff = X[:, None, :] - self.means[None, :, :]  # (N, K, D)
maha = np.einsum("nki,kij,nkj->nk", diff, np.linalg.inv(self.covs), diff)
sign, logdet = np.linalg.slogdet(self.covs)
logits = np.log(self.pi) - 0.5 * (maha + logdet + self.data_dim * np.log(2 * np.pi))
logits = logits - logits.max(axis=1, keepdims=True)
gamma = np.exp(logits)
gamma /= gamma.sum(axis=1, keepdims=True)
return gamma
