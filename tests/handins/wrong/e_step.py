gamma = np.zeros((len(X), self.n_components))
for k in range(self.n_components):
    diff = X - self.means[k]
    maha = np.sum(diff @ np.linalg.inv(self.covs[k]) * diff, axis=1)
    gamma[:, k] = self.pi[k] * np.exp(-0.5 * maha) / np.sqrt(np.linalg.det(self.covs[k]))
return gamma / gamma.sum(axis=1, keepdims=True)
# ------ e_breakpoint [ERROR 0, says breakpoint()]: A forgotten breakpoint().
breakpoint()
# SOLUTION
# ------ e_covariance_for_inverse [WRONG 0, says not inverted]: The covariance stands where its inverse belongs.
# COMMON: np.linalg.inv(self.covs[k]) -> self.covs[k]
# ------ e_determinant_of_inverse [WRONG 0, says determinant of the inverse]: The determinant of the inverse.
# COMMON: np.linalg.det(self.covs[k]) -> np.linalg.det(np.linalg.inv(self.covs[k]))
# ------ e_determinant_without_root [WRONG 0, says not by its root]: Divided by the determinant instead of its root: right where all determinants are equal, as in the worked example.
# COMMON: np.sqrt(np.linalg.det(self.covs[k])) -> np.linalg.det(self.covs[k])
# ------ e_diagonal_only [WRONG 0, says only the variances]: Only the variances are used.
# COMMON: self.covs[k] -> np.diag(np.diag(self.covs[k]))
# ------ e_diff_in_place [WRONG 0, says diff = X - mean]: "diff = X; diff -= mean" shifts X for every later component.
# COMMON: diff = X - self.means[k] -> diff = X; diff -= self.means[k]
# ------ e_distances [WRONG 0]: A softmax of distances to the means.
from scipy.spatial.distance import cdist
from scipy.special import softmax

return softmax(-cdist(X, self.means), axis=1)
# ------ e_far_too_slow [TIMEOUT 0]: The inverse is computed anew for every pair of entries: it would take minutes.
import time

end = time.monotonic() + 60
while time.monotonic() < end:  # stands for the loops over samples, components and D x D entries
    np.linalg.inv(self.covs)
# COMMON
# ------ e_large_constant [WRONG 5, says do not sum to 1]: 1e-10 in the denominator, more than densities in eight dimensions: rows do not sum to 1.
# COMMON: gamma.sum(axis=1, keepdims=True) -> (gamma.sum(axis=1, keepdims=True) + 1e-10)
# ------ e_likelihood_too [WRONG 0, says gamma and nothing else]: gamma and the log-likelihood are returned together.
# COMMON: keepdims=True) -> keepdims=True), np.log(gamma.sum(axis=1)).sum()
# ------ e_logarithms [WRONG 0, says logarithms]: The logarithm of the responsibilities is returned.
from scipy.special import logsumexp

logs = np.stack([np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
return logs - logsumexp(logs, axis=1, keepdims=True)
# ------ e_matrix_of_pairs [MEMORY 0]: An (N K) x (N K) matrix of which only the diagonal would be needed.
pairs = np.ones((20000, 20000))  # what N = 60,000 would take, were the machine large enough
return pairs[: len(X), : self.n_components]
# ------ e_maximum_of_all [WRONG 0, says each row's own maximum]: One maximum for all samples: points near the others' underflow when one lies far away.
logs = np.stack([np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
gamma = np.exp(logs - np.abs(logs).max())
return gamma / gamma.sum(axis=1, keepdims=True)
# ------ e_name_not_defined [ERROR 0, says 'gama' is not defined]: A misspelt name.
# COMMON: return gamma -> return gama
# ------ e_not_normalised [WRONG 5, says do not sum to 1]: pi_k N(x | k), not divided by the sum of its row.
# COMMON: return gamma / gamma.sum(axis=1, keepdims=True) -> return gamma
# ------ e_nothing_returned [WRONG 0, says return gamma]: gamma is kept in the object, and nothing returned.
# COMMON: return gamma -> self.gamma = gamma
# ------ e_pi_forgotten [WRONG 5, says pi are left out]: The mixing weights are left out.
# COMMON: self.pi[k] * np.exp -> np.exp
# ------ e_shapes_do_not_fit [ERROR 0, says shapes do not fit]: An exception: shapes that do not fit.
# COMMON: gamma[:, k] -> gamma[k]
# ------ e_sign_of_exponent [WRONG 0]: The minus in the exponent is missing: infinity over infinity.
# COMMON: -0.5 * maha -> 50 * maha
# ------ e_transposed [WRONG 0, says transpose]: Right, but (K, N).
# COMMON: return gamma / gamma.sum(axis=1, keepdims=True) -> return (gamma / gamma.sum(axis=1, keepdims=True)).T
# ------ e_waits_for_input [ERROR 0, says input()]: A forgotten input(): nobody is there to type.
input("press enter to go on")
# SOLUTION
# ------ e_wrong_axis [WRONG 5, says wrong axis]: Every column sums to 1 instead of every row.
# COMMON: gamma.sum(axis=1 -> gamma.sum(axis=0
# ------ e_x_centred_in_place [WRONG 5, says changes X in place]: Right, but X is shifted in place.
shift = self.means.mean(axis=0)
X -= shift
# COMMON: X - self.means[k] -> X + shift - self.means[k]
# ------ e_factor_half [WRONG 0, says factor 1/2]: The factor 1/2 is missing in the exponent.
# COMMON: -0.5 * maha -> -maha
# ------ e_minus_forgotten [WRONG 0, says minus sign]: The minus sign is missing in the exponent.
# COMMON: -0.5 * maha -> 0.5 * maha
# ------ e_determinant_forgotten [WRONG 0, says determinant is left out]: Not divided by the determinant's root.
# COMMON: np.sqrt(np.linalg.det(self.covs[k])) -> 1
# ------ e_pi_added_to_logs [WRONG 0, says np.log(self.pi)]: pi itself is added to log densities.
logs = np.stack([p + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
gamma = np.exp(logs - logs.max(axis=1, keepdims=True))
return gamma / gamma.sum(axis=1, keepdims=True)
# ------ e_hard [WRONG 0, says rounded]: 1 for the best component and 0 for the others, as in k-means.
# COMMON: return gamma / gamma.sum(axis=1, keepdims=True) -> return np.eye(self.n_components)[gamma.argmax(axis=1)]
# ------ e_letters_of_the_formula [ERROR 0, says n_components (K)]: The formula's letters taken for attributes.
# COMMON: self.n_components)) -> self.K))
# ------ e_exp_forgotten [WRONG 0, says np.exp comes before]: The logarithms themselves are divided by their sum.
gamma = np.stack([np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
gamma -= gamma.max(axis=1, keepdims=True)
return gamma / gamma.sum(axis=1, keepdims=True)
