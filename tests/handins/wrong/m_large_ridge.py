# A ridge of 0.1.
# expect: m_step WRONG 5
# === 1.2 M-step
# SOLUTION
self.covs = self.covs + 0.1 * np.eye(X.shape[1])
