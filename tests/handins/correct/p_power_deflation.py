# Power iteration, one component after the other.
# === 2.1 PCA
self.mean = X.mean(axis=0)
cov = np.cov(X, rowvar=False, bias=True)
found = []
for _ in range(self.dim):
    v = np.random.randn(cov.shape[0])
    for _ in range(4000):
        v = cov @ v
        v /= np.linalg.norm(v)
    cov = cov - (v @ cov @ v) * np.outer(v, v)
    found.append(v)
self.components = np.array(found)
