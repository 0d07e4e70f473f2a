# Random orthonormal directions.
# expect: pca_fit WRONG 2
# === 2.1 PCA
self.mean = X.mean(axis=0)
self.components = np.linalg.qr(np.random.default_rng(0).normal(size=(X.shape[1], self.dim)))[0].T
