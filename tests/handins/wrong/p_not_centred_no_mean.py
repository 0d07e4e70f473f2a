# X is not centred, and the mean is zero.
# expect: pca_fit WRONG 0
# === 2.1 PCA
X = X.astype(float)
self.mean = np.zeros(X.shape[1])
values, vectors = np.linalg.eigh(X.T @ X)
self.components = vectors[:, ::-1][:, : self.dim].T
