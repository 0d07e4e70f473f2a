# ------ m_filled_in_place: The arrays of __init__ are filled, not replaced.
N_k = np.sum(gamma, axis=0)
self.pi[:] = N_k / X.shape[0]
self.means[...] = (gamma.T @ X) / N_k[:, np.newaxis]
for k in range(self.n_components):
    diff = X - self.means[k]
    np.matmul((gamma[:, [k]] * diff).T, diff, out=self.covs[k])
    self.covs[k] /= N_k[k]
# ------ m_float32: Everything in float32.
X = X.astype(np.float32)
gamma = gamma.astype(np.float32)
N_k = gamma.sum(axis=0)
self.pi = N_k / np.float32(len(X))
self.means = gamma.T @ X / N_k[:, None]
diff = X[None] - self.means[:, None]  # (K, N, D)
self.covs = np.matmul((gamma.T[:, :, None] * diff).transpose(0, 2, 1), diff) / N_k[:, None, None]
# ------ m_lists: Python lists of arrays.
self.pi, self.means, self.covs = [], [], []
for k in range(self.n_components):
    weight = gamma[:, k]
    n = weight.sum()
    mean = (weight[:, None] * X).sum(axis=0) / n
    self.pi.append(n / len(X))
    self.means.append(mean)
    self.covs.append((weight[:, None] * (X - mean)).T @ (X - mean) / n)
# ------ m_returned: The new parameters are returned, in the order of the lecture, and not set.
N_k = gamma.sum(axis=0)
pi = N_k / len(X)
means = gamma.T @ X / N_k[:, None]
covs = np.array([(gamma[:, k, None] * (X - means[k])).T @ (X - means[k]) / N_k[k] for k in range(len(N_k))])
return pi, means, covs
# ------ m_second_moment: Covariance as E[x x^T] minus mean mean^T.
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
second = np.einsum("nk,ni,nj->kij", gamma, X, X, optimize=True) / N_k[:, None, None]
self.covs = second - self.means[:, :, None] * self.means[:, None, :]
# ------ m_set_and_returned: The new parameters are set, and returned as well.
N_k = gamma.sum(0)
self.means = np.dot(gamma.T, X) / N_k.reshape(-1, 1)
self.covs = np.stack([np.dot(gamma[:, k] * (X - m).T, X - m) / N_k[k] for k, m in enumerate(self.means)])
self.pi = N_k / N_k.sum()
return self.means, self.covs, self.pi
# ------ m_sklearn_inside: scikit-learn's own estimate of the parameters.
from sklearn.mixture._gaussian_mixture import _estimate_gaussian_parameters

N_k, self.means, self.covs = _estimate_gaussian_parameters(X, gamma, 1e-6, "full")
self.pi = N_k / X.shape[0]
# ------ m_sliced: Parameters that are slices of larger arrays.
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
