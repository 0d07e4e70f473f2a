# Diagonal covariances.
# expect: m_step WRONG 5
# === 1.2 M-step
# SOLUTION
self.covs = self.covs * np.eye(X.shape[1])
