# scikit-learn's TruncatedSVD, which does not centre.
# expect: pca_fit WRONG 2
# === 2.1 PCA
from sklearn.decomposition import TruncatedSVD

self.mean = X.mean(axis=0)
self.components = TruncatedSVD(self.dim, algorithm="arpack").fit(X.astype(float)).components_
