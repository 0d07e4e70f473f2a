# The components are returned and not set.
# expect: pca_fit WRONG 0
# === 2.1 PCA
mean = X.mean(axis=0)
values, vectors = np.linalg.eigh(np.cov(X, rowvar=False))
return vectors.T[::-1][: self.dim], mean
