# One mistake in each question.
# expect: e_step WRONG 5
# expect: m_step WRONG 5
# expect: pca_fit WRONG 5
# expect: sample_from_gmm WRONG 4
# === 1.1 E-step
return np.exp(np.array([np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)])).T
# === 1.2 M-step
# SOLUTION
self.covs = self.covs * 2
# === 2.1 PCA
# SOLUTION
self.components = self.components[::-1]
# === 5.1 sampling
np.random.seed(0)
# SOLUTION
