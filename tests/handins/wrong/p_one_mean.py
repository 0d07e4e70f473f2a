# One mean for all pixels.
# expect: pca_fit WRONG 6
# === 2.1 PCA
self.mean = X.mean()
values, vectors = np.linalg.eigh(np.cov(X - self.mean, rowvar=False))
self.components = vectors.T[::-1][: self.dim]
