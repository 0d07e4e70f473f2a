# Every component points the other way.
# === 2.1 PCA
self.mean = X.mean(axis=0)
_, _, rows = scipy.linalg.svd(X - self.mean, full_matrices=False)
self.components = -np.sign(rows[: self.dim, :1] + 1e-300) * rows[: self.dim]
