# X -= mean: an exception for 8-bit images.
# expect: pca_fit ERROR 0
# === 2.1 PCA
self.mean = X.mean(axis=0)
X -= self.mean
self.components = np.linalg.svd(X, full_matrices=False)[2][: self.dim]
