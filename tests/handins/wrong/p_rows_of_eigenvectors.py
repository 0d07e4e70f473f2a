# The first rows of eigh's matrix, whose eigenvectors are columns.
# expect: pca_fit WRONG 2
# === 2.1 PCA
self.mean = X.mean(axis=0)
values, vectors = np.linalg.eigh(np.cov(X, rowvar=False))
self.components = vectors[:, ::-1][: self.dim]
