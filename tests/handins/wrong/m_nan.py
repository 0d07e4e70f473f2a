# 0/0 in the covariances: NaN everywhere.
# expect: m_step WRONG 5
# === 1.2 M-step
# SOLUTION
self.covs = self.covs * np.nan
