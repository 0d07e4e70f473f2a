# Every component is multiplied by its standard deviation.
# expect: pca_fit WRONG 2
# === 2.1 PCA
self.mean = X.mean(axis=0)
values, vectors = np.linalg.eigh(np.cov(X, rowvar=False))
self.components = (vectors * np.sqrt(np.abs(values))).T[::-1][: self.dim]
