# Pixels are divided by their standard deviation first.
# expect: pca_fit WRONG 2
# === 2.1 PCA
from sklearn.preprocessing import StandardScaler

self.mean = X.mean(axis=0)
Z = StandardScaler().fit_transform(X.astype(float))
self.components = np.linalg.svd(Z, full_matrices=False)[2][: self.dim]
