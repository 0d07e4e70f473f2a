# The N x N matrix of products where there are fewer samples than pixels.
# === 2.1 PCA
self.mean = X.mean(axis=0)
A = X - self.mean
if A.shape[0] < A.shape[1]:
    values, vectors = np.linalg.eigh(A @ A.T)
    rows = (A.T @ vectors[:, ::-1][:, : self.dim]).T
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
else:
    rows = np.linalg.eigh(A.T @ A)[1].T[::-1][: self.dim]
self.components = rows
