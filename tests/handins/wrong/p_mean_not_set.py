# The mean is not set.
# expect: pca_fit WRONG 6
# === 2.1 PCA
values, vectors = np.linalg.eigh(np.cov(X, rowvar=False))
self.components = vectors.T[::-1][: self.dim]
