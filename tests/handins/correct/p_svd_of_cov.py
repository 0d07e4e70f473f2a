# Singular value decomposition of the covariance; the columns of U are the components.
# === 2.1 PCA
self.mean = np.average(X, axis=0)
U, S, _ = np.linalg.svd(np.cov(X.T, ddof=0))
self.components = U[:, : self.dim].T
