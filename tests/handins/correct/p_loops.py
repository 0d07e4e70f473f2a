# The covariance summed sample by sample.
# === 2.1 PCA
N, D = X.shape
mean = np.zeros(D)
for x in X:
    mean += x
mean /= N
cov = np.zeros((D, D))
for x in X:
    d = x - mean
    cov += np.outer(d, d)
w, v = np.linalg.eigh(cov / (N - 1))
idx = np.argsort(w)[::-1]
self.mean = mean
self.components = np.array([v[:, i] for i in idx[: self.dim]])
