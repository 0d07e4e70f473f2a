N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = gamma.T @ X / N_k[:, None]
for k in range(self.n_components):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff / N_k[k]
# ------ m_around_zero [WRONG 5, says around 0]: The data are not centred for the covariances.
# COMMON: X - self.means[k] -> X
# ------ m_covs_around_old_means [WRONG 5, says means before this step]: The covariances are taken around the means before the step.
# COMMON: self.means = gamma.T -> means = gamma.T
self.means = means
# ------ m_covs_divided_by_n [WRONG 5, says N instead of N_k]: The covariances are divided by N instead of N_k.
# COMMON: / N_k[k] -> / len(X)
# ------ m_diagonal [WRONG 5, says only the diagonal]: Diagonal covariances.
# SOLUTION
self.covs = self.covs * np.eye(X.shape[1])
# ------ m_gamma_changed_in_place [WRONG 5, says in place]: gamma is normalised in place; all three parameters are right.
# COMMON
gamma /= gamma.sum(axis=0)
# ------ m_gamma_ignored [WRONG 0, says gamma is not used]: The given gamma is ignored and computed anew.
gamma = self._e_step(X)
# SOLUTION
# ------ m_hard_gamma [WRONG 0, says rounded to 0 and 1]: gamma is made one-hot first, as in k-means.
gamma = np.eye(self.n_components)[gamma.argmax(axis=1)]
# COMMON: gamma.sum(axis=0) -> gamma.sum(axis=0) + 1e-12
# ------ m_large_ridge [WRONG 5, says 0.1 added to the diagonal]: A ridge of 0.1.
# SOLUTION
self.covs = self.covs + 0.1 * np.eye(X.shape[1])
# ------ m_means_divided_by_n [WRONG 2, says means are divided by N]: The means are divided by N, and the covariances taken around them.
# COMMON: X / N_k[:, None] -> X / len(X)
# ------ m_means_not_updated [WRONG 2, says means is unchanged]: pi and covariances only; the covariances are around the means before the step.
# COMMON: self.means = gamma.T -> means = gamma.T
# ------ m_means_transposed [WRONG 7, says instead of (2, 1)]: The means are (D, K).
# SOLUTION
self.means = self.means.T
# ------ m_old_parameters_kept [WRONG 0, says set self.pi]: New values in local names only.
pi = gamma.mean(axis=0)
means = gamma.T @ X / gamma.sum(axis=0)[:, None]
# ------ m_pi_a_column [WRONG 8, says one number per component]: pi has the shape (K, 1).
# SOLUTION
self.pi = gamma.sum(axis=0)[:, None] / len(X)
# ------ m_pi_is_a_count [WRONG 8, says divided by the number of samples]: pi is N_k, not divided by N.
# SOLUTION
self.pi = gamma.sum(axis=0)
# ------ m_unbiased [WRONG 5, says N_k - 1]: N_k - 1 in the denominator.
# COMMON: / N_k[k] -> / (N_k[k] - 1)
# ------ m_variances_only [WRONG 5, says one full matrix]: covs holds variances, (K, D).
# SOLUTION
self.covs = np.array([np.diag(c) for c in self.covs])
# ------ m_x_changed_in_place [WRONG 5]: X is centred in place and all three parameters are right.
# COMMON
X -= X.mean(axis=0)
# ------ m_np_cov [WRONG 5, says ddof=0]: np.cov with weights, but without ddof=0.
# SOLUTION
self.covs = np.array([np.cov(X.T, aweights=g).reshape(X.shape[1], -1) for g in gamma.T])
# ------ m_n_minus_one [WRONG 5, says N - 1]: N - 1 in the denominator.
# SOLUTION
self.covs = self.covs * gamma.sum(axis=0)[:, None, None] / (len(X) - 1)
# ------ m_pi_over_k [WRONG 8, says factor 1/K]: A mean over the components as well.
# SOLUTION
self.pi = gamma.sum(axis=0) / gamma.size
# ------ m_means_not_divided [WRONG 7, says not divided by N_k]: The means are sums.
# SOLUTION
self.means = gamma.T @ X
# ------ m_row_division [ERROR 2, says means has shape (2, 2) instead of (2, 1), says N_k[:, None]]: N_k without [:, None] fits in one dimension only, and wrongly.
# COMMON: N_k[:, None] -> N_k
# ------ m_not_transposed [ERROR 5, says transpose one side by .T, says covs is unchanged]: (N, D) @ (N, D): an exception after pi and means.
N_k = gamma.sum(axis=0)
self.pi, self.means = N_k / len(X), gamma.T @ X / N_k[:, None]
self.covs = np.array([(gamma[:, [k]] * (X - self.means[k])) @ (X - self.means[k]) for k in range(len(N_k))])
# ------ m_raise_left [ERROR 10, says remove this `raise`]: Filled in, but the raise of the empty region is still there.
# SOLUTION
raise NotImplementedError("1.2 M-step: update self.pi, self.means and self.covs from X and gamma")
# ------ m_old_covs_added [WRONG 5, says before this step]: Summed up in self.covs, which still held the old ones.
# COMMON: self.covs[k] = -> self.covs[k] +=
# ------ m_gamma_twice [WRONG 5, says both sides]: Both factors of the product are weighted.
# COMMON: @ diff -> @ (gamma[:, k, None] * diff)
# ------ m_covs_without_gamma [WRONG 5, says do not use gamma]: The samples are not weighted.
# COMMON: (gamma[:, k, None] * diff).T -> diff.T
