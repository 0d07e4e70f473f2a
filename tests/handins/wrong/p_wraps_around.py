# Centred in uint8, where 3 - 5 is 254; right for floating-point data.
# expect: pca_fit WRONG 0
# === 2.1 PCA
self.mean = X.mean(axis=0).astype(X.dtype)
values, vectors = np.linalg.eigh(np.cov(X - self.mean, rowvar=False))
self.components = vectors.T[::-1][: self.dim]
