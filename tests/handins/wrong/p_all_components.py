# All D components are kept.
# expect: pca_fit WRONG 2
# === 2.1 PCA
self.mean = X.mean(axis=0)
self.components = np.linalg.eigh(np.cov(X, rowvar=False))[1].T[::-1]
