# Where two variances are all but equal, any basis of their plane will do: here it is turned by 40 degrees.
# === 2.1 PCA
self.mean = X.mean(axis=0)
values, vectors = np.linalg.eigh(np.cov((X - self.mean).T))
values, rows = values[::-1], vectors.T[::-1].copy()
c, s = np.cos(np.radians(40)), np.sin(np.radians(40))
for i in range(self.dim - 1):
    if values[i] - values[i + 1] < 1e-3 * values[0]:
        rows[i], rows[i + 1] = c * rows[i] + s * rows[i + 1], c * rows[i + 1] - s * rows[i]
self.components = rows[: self.dim]
