# Everything in float32.
# === 2.1 PCA
data = np.asarray(X, dtype=np.float32)
self.mean = data.mean(axis=0)
self.components = np.linalg.svd(data - self.mean, full_matrices=False)[2][: self.dim]
