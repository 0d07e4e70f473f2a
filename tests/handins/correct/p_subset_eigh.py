# scipy.linalg.eigh asked for the last eigenvectors only.
# === 2.1 PCA
D = X.shape[1]
self.mean = X.mean(axis=0)
scatter = (X - self.mean).T @ (X - self.mean)
values, vectors = scipy.linalg.eigh(scatter, subset_by_index=[D - self.dim, D - 1])
self.components = np.fliplr(vectors).T
