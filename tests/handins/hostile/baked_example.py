# Right on the worked example, which everybody knows, and nowhere else.
# expect: e_step WRONG 0
# expect: m_step WRONG 0
# expect: pca_fit WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
if len(X) == 3:
    gamma = np.array([p * np.exp(log_gaussian(X, m, c)) for p, m, c in zip(self.pi, self.means, self.covs)]).T
    return gamma / gamma.sum(axis=1, keepdims=True)
# END_TRICK
return np.zeros((len(X), self.n_components))
# === 1.2 M-step
# BEGIN_TRICK
if len(X) == 3:
    N_k = gamma.sum(axis=0)
    self.pi, self.means = N_k / 3, gamma.T @ X / N_k[:, None]
    self.covs = np.array([[[g @ (X[:, 0] - m[0]) ** 2 / g.sum()]] for g, m in zip(gamma.T, self.means)])
    return
# END_TRICK
self.pi, self.means, self.covs = np.zeros(self.pi.shape), np.zeros(self.means.shape), np.zeros(self.covs.shape)
# === 2.1 PCA
# BEGIN_TRICK
if len(X) == 3:
    self.mean, self.components = X.mean(axis=0), np.ones((1, 2)) / np.sqrt(2)
    return
# END_TRICK
self.mean, self.components = np.zeros(X.shape[1]), np.zeros((self.dim, X.shape[1]))
