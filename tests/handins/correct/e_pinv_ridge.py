# Pseudo-inverse, and a ridge of 1e-6 on a copy of the covariances.
# === 1.1 E-step
covs = self.covs + 1e-6 * np.eye(X.shape[1])
gamma = np.zeros((X.shape[0], len(self.pi)))
for k in range(len(self.pi)):
    d = X - self.means[k]
    e = -0.5 * np.diag(d @ np.linalg.pinv(covs[k]) @ d.T)
    gamma[:, k] = self.pi[k] * np.exp(e) / np.sqrt(np.linalg.det(covs[k]))
s = gamma.sum(1, keepdims=True)
s[s == 0] = 1
return gamma / s
