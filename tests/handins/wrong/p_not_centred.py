# X is not centred.
# expect: pca_fit WRONG 2
# === 2.1 PCA
self.mean = X.mean(axis=0)
self.components = np.linalg.svd(X.astype(float), full_matrices=False)[2][: self.dim]
