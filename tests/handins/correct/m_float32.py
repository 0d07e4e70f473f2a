# Everything in float32.
# === 1.2 M-step
X = X.astype(np.float32)
gamma = gamma.astype(np.float32)
N_k = gamma.sum(axis=0)
self.pi = N_k / np.float32(len(X))
self.means = gamma.T @ X / N_k[:, None]
diff = X[None] - self.means[:, None]  # (K, N, D)
self.covs = np.matmul((gamma.T[:, :, None] * diff).transpose(0, 2, 1), diff) / N_k[:, None, None]
