# Log-sum-exp by scipy.special.
# === 1.1 E-step
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

log_p = np.column_stack(
    [
        np.log(self.pi[k]) + multivariate_normal.logpdf(X, self.means[k], self.covs[k])
        for k in range(self.n_components)
    ]
)
return np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True))
