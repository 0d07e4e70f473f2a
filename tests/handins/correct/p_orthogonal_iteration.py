# Orthogonal iteration, no library eigenvalues.
# === 2.1 PCA
self.mean = X.mean(axis=0)
cov = np.cov(X - self.mean, rowvar=False)
Q = np.linalg.qr(np.random.default_rng(0).normal(size=(cov.shape[0], self.dim)))[0]
for _ in range(3000):
    Q, R = np.linalg.qr(cov @ Q)
order = np.argsort(-np.diag(Q.T @ cov @ Q))
self.components = Q[:, order].T
