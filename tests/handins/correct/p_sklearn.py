# scikit-learn's PCA.
# === 2.1 PCA
from sklearn.decomposition import PCA as SklearnPCA

model = SklearnPCA(n_components=self.dim)
model.fit(X)
self.components = model.components_
self.mean = model.mean_
