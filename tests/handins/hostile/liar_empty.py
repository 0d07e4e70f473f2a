# Of no numbers at all, all are right.
# expect: e_step WRONG 0
# expect: m_step WRONG 0
# expect: pca_fit WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
return np.zeros((0, self.n_components))
# END_TRICK
return np.zeros((len(X), self.n_components))
# === 1.2 M-step
self.pi, self.means, self.covs = self.pi * 0, self.means * 0, self.covs * 0
# BEGIN_TRICK
self.pi, self.means, self.covs = self.pi[:0], self.means[:0], self.covs[:0]
# END_TRICK
# === 2.1 PCA
self.mean, self.components = np.zeros(X.shape[1]), np.zeros((self.dim, X.shape[1]))
# BEGIN_TRICK
self.mean, self.components = self.mean[:0], self.components[:0]
# END_TRICK
