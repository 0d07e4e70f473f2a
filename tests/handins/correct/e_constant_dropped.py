# The factor (2 pi)^(D/2) is left out: it is the same for every component and cancels.
# === 1.1 E-step
logits = np.zeros((X.shape[0], self.n_components))
for k, (mean, cov) in enumerate(zip(self.means, self.covs)):
    y = np.linalg.solve(cov, (X - mean).T).T
    logits[:, k] = np.log(self.pi[k]) - 0.5 * np.linalg.slogdet(cov)[1] - 0.5 * ((X - mean) * y).sum(axis=1)
logits -= logits.max(axis=1)[:, np.newaxis]
return np.exp(logits) / np.exp(logits).sum(axis=1)[:, np.newaxis]
