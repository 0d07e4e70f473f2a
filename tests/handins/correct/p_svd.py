# Singular value decomposition of the centred data.
# === 2.1 PCA
X = X.astype(np.float64)
self.mean = np.mean(X, axis=0)
U, S, Vt = np.linalg.svd(X - self.mean, full_matrices=False)
self.components = Vt[: self.dim]
