# Everything in float32.
# === 1.1 E-step
X = X.astype(np.float32)
logits = np.empty((len(X), self.n_components), dtype=np.float32)
for k in range(self.n_components):
    diff = X - self.means[k].astype(np.float32)
    cov = self.covs[k].astype(np.float32)
    maha = np.sum(diff @ np.linalg.inv(cov) * diff, axis=1)
    logits[:, k] = np.log(np.float32(self.pi[k])) - 0.5 * (maha + np.linalg.slogdet(cov)[1])
logits -= logits.max(axis=1, keepdims=True)
gamma = np.exp(logits)
return gamma / gamma.sum(axis=1, keepdims=True)
