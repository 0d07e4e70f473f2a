# Sums of products in float16 overflow or lose everything.
# expect: pca_fit WRONG 0
# === 2.1 PCA
X = X.astype(np.float16)
self.mean = X.mean(axis=0, dtype=np.float16)
C = X - self.mean
self.components = np.linalg.eigh((C.T @ C).astype(np.float32))[1].T[::-1][: self.dim]
