# Components as columns, (D, d).
# expect: pca_fit WRONG 5
# === 2.1 PCA
self.mean = X.mean(axis=0)
values, vectors = np.linalg.eigh(np.cov(X, rowvar=False))
self.components = vectors[:, ::-1][:, : self.dim]
