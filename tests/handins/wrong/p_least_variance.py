# eigh sorts in ascending order: the first columns are those of least variance.
# expect: pca_fit WRONG 2
# === 2.1 PCA
self.mean = X.mean(axis=0)
values, vectors = np.linalg.eigh(np.cov(X, rowvar=False))
self.components = vectors[:, : self.dim].T
