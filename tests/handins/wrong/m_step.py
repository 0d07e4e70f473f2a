# ------ m_around_zero [WRONG 5]: The data are not centred for the covariances.
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
self.covs = np.einsum("nk,ni,nj->kij", gamma, X, X) / N_k[:, None, None]
# ------ m_covs_around_old_means [WRONG 5]: The covariances are taken around the means before the step.
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff / N_k[k]
self.means = gamma.T @ X / N_k[:, None]
# ------ m_covs_divided_by_n [WRONG 5]: The covariances are divided by N instead of N_k.
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff / len(X)
# ------ m_diagonal [WRONG 5]: Diagonal covariances.
# SOLUTION
self.covs = self.covs * np.eye(X.shape[1])
# ------ m_gamma_changed_in_place [WRONG 5]: gamma is normalised in place; all three parameters are right.
self.pi = gamma.mean(axis=0)
gamma /= gamma.sum(axis=0)
self.means = gamma.T @ X
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff
# ------ m_gamma_ignored [WRONG 0]: The given gamma is ignored and computed anew.
gamma = self._e_step(X)
# SOLUTION
# ------ m_hard_gamma [WRONG 0]: gamma is made one-hot first, as in k-means.
gamma = np.eye(self.n_components)[gamma.argmax(axis=1)]
N_k = gamma.sum(axis=0) + 1e-12
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff / N_k[k] + 1e-6 * np.eye(X.shape[1])
# ------ m_large_ridge [WRONG 5]: A ridge of 0.1.
# SOLUTION
self.covs = self.covs + 0.1 * np.eye(X.shape[1])
# ------ m_means_divided_by_n [WRONG 2]: The means are divided by N, and the covariances taken around them.
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / len(X)
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff / N_k[k]
# ------ m_means_not_updated [WRONG 2]: pi and covariances only; the covariances are around the means before the step.
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff / N_k[k]
# ------ m_means_transposed [WRONG 7]: The means are (D, K).
# SOLUTION
self.means = self.means.T
# ------ m_old_parameters_kept [WRONG 0]: New values in local names only.
pi = gamma.mean(axis=0)
means = gamma.T @ X / gamma.sum(axis=0)[:, None]
# ------ m_pi_a_column [WRONG 8]: pi has the shape (K, 1).
# SOLUTION
self.pi = gamma.sum(axis=0)[:, None] / len(X)
# ------ m_pi_is_a_count [WRONG 8]: pi is N_k, not divided by N.
# SOLUTION
self.pi = gamma.sum(axis=0)
# ------ m_unbiased [WRONG 5]: N_k - 1 in the denominator.
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff / (N_k[k] - 1)
# ------ m_variances_only [WRONG 5]: covs holds variances, (K, D).
# SOLUTION
self.covs = np.array([np.diag(c) for c in self.covs])
# ------ m_x_changed_in_place [WRONG 5]: X is centred in place and all three parameters are right.
N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
last = 0
for k in range(self.n_components):
    X -= self.means[k] - last
    last = self.means[k]
    self.covs[k] = (gamma[:, k, None] * X).T @ X / N_k[k]
