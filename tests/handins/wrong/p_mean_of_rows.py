# The mean of every sample instead of every pixel.
# expect: pca_fit WRONG 6
# === 2.1 PCA
self.mean = X.mean(axis=1)
values, vectors = np.linalg.eigh(np.cov(X, rowvar=False))
self.components = vectors.T[::-1][: self.dim]
