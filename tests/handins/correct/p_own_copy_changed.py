# A copy is centred in place; X itself stays.
# === 2.1 PCA
X = np.array(X, dtype=float)
self.mean = X.mean(axis=0)
X -= self.mean
self.components = np.linalg.svd(X, full_matrices=False)[2][: self.dim, :]
