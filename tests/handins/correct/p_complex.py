# Components of a complex type whose imaginary part is zero.
# === 2.1 PCA
self.mean = X.mean(axis=0)
cov = np.cov(X.astype(float).T).astype(complex)
values, vectors = np.linalg.eigh(cov)
index = values.argsort()[::-1][: self.dim]
self.components = vectors.T[index]
