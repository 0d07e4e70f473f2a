# Sparse solver, ascending singular values turned round.
# === top
from scipy.sparse.linalg import svds
# === 2.1 PCA
self.mean = X.mean(0)
u, s, vt = svds((X - self.mean).astype(float), k=self.dim)
self.components = vt[np.argsort(-s)]
