# U in place of the transposed V.
# expect: pca_fit WRONG 2
# === 2.1 PCA
self.mean = X.mean(axis=0)
U, S, Vt = np.linalg.svd(X - self.mean)
self.components = U[:, : self.dim].T
