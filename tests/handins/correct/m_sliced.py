# Parameters that are slices of larger arrays.
# === 1.2 M-step
K, D = self.n_components, X.shape[1]
N_k = gamma.sum(axis=0)
weights = np.zeros(2 * K)
weights[::2] = N_k / len(X)
self.pi = weights[::2]
table = np.full((K, D + 3), 7.0)
table[:, 1 : D + 1] = gamma.T @ X / N_k[:, None]
self.means = table[:, 1 : D + 1]
big = np.full((2 * K, D + 1, D + 1), -1.0)
for k in range(K):
    diff = X - self.means[k]
    big[2 * k, 1:, :-1] = (gamma[:, k, None] * diff).T @ diff / N_k[k] + 1e-6 * np.eye(D)
self.covs = big[::2, 1:, :-1]
