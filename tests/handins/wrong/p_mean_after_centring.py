# The mean is taken after centring: it is zero.
# expect: pca_fit WRONG 6
# === 2.1 PCA
X = X - X.mean(axis=0)
self.mean = X.mean(axis=0)
self.components = np.linalg.svd(X, full_matrices=False)[2][: self.dim]
