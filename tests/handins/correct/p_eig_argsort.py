# General eigenvalues, sorted by argsort, with N in the covariance.
# === 2.1 PCA
self.mean = np.mean(X, axis=0)
centred = X - self.mean
cov = centred.T @ centred / centred.shape[0]
values, vectors = np.linalg.eig(cov)
order = np.argsort(values.real)[::-1]
self.components = vectors[:, order[: self.dim]].T.real
