# Shapes that would stretch to fit any other.
# expect: e_step WRONG 0
# expect: m_step WRONG 0
# expect: pca_fit WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
return np.full((1, 1), np.mean(self.pi))
# END_TRICK
return np.zeros((len(X), self.n_components))
# === 1.2 M-step
self.pi, self.means, self.covs = self.pi * 0, self.means * 0, self.covs * 0
# BEGIN_TRICK
self.pi, self.means, self.covs = gamma.mean(), X.mean(axis=0), np.cov(X.T)
# END_TRICK
# === 2.1 PCA
self.mean, self.components = np.zeros(X.shape[1]), np.zeros((self.dim, X.shape[1]))
# BEGIN_TRICK
self.mean, self.components = X.mean(), np.ones((1, 1))
# END_TRICK
