# ------ p_dual: The N x N matrix of products where there are fewer samples than pixels.
self.mean = X.mean(axis=0)
A = X - self.mean
if A.shape[0] < A.shape[1]:
    values, vectors = np.linalg.eigh(A @ A.T)
    rows = (A.T @ vectors[:, ::-1][:, : self.dim]).T
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
else:
    rows = np.linalg.eigh(A.T @ A)[1].T[::-1][: self.dim]
self.components = rows
# ------ p_eig_argsort: General eigenvalues, sorted by argsort, with N in the covariance.
self.mean = np.mean(X, axis=0)
centred = X - self.mean
cov = centred.T @ centred / centred.shape[0]
values, vectors = np.linalg.eig(cov)
order = np.argsort(values.real)[::-1]
self.components = vectors[:, order[: self.dim]].T.real
# ------ p_float32: Everything in float32.
data = np.asarray(X, dtype=np.float32)
self.mean = data.mean(axis=0)
self.components = np.linalg.svd(data - self.mean, full_matrices=False)[2][: self.dim]
# ------ p_own_copy_changed: A copy is centred in place; X itself stays.
X = np.array(X, dtype=float)
self.mean = X.mean(axis=0)
X -= self.mean
self.components = np.linalg.svd(X, full_matrices=False)[2][: self.dim, :]
# ------ p_power_deflation: Power iteration, one component after the other.
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
# ------ p_sklearn: scikit-learn's PCA.
from sklearn.decomposition import PCA as SklearnPCA

model = SklearnPCA(n_components=self.dim)
model.fit(X)
self.components = model.components_
self.mean = model.mean_
# ------ p_subset_eigh: scipy.linalg.eigh asked for the last eigenvectors only.
D = X.shape[1]
self.mean = X.mean(axis=0)
scatter = (X - self.mean).T @ (X - self.mean)
values, vectors = scipy.linalg.eigh(scatter, subset_by_index=[D - self.dim, D - 1])
self.components = np.fliplr(vectors).T
# ------ p_svds: Sparse solver, ascending singular values turned round.
# === top
from scipy.sparse.linalg import svds
# === 2.1 PCA
self.mean = X.mean(0)
u, s, vt = svds((X - self.mean).astype(float), k=self.dim)
self.components = vt[np.argsort(-s)]
# ------ p_tied_rotated: Where two variances are all but equal, any basis of their plane will do: here it is turned by 40 degrees.
self.mean = X.mean(axis=0)
values, vectors = np.linalg.eigh(np.cov((X - self.mean).T))
values, rows = values[::-1], vectors.T[::-1].copy()
c, s = np.cos(np.radians(40)), np.sin(np.radians(40))
for i in range(self.dim - 1):
    if values[i] - values[i + 1] < 1e-3 * values[0]:
        rows[i], rows[i + 1] = c * rows[i] + s * rows[i + 1], c * rows[i + 1] - s * rows[i]
self.components = rows[: self.dim]
