# scikit-learn's own estimate of the parameters.
# === 1.2 M-step
from sklearn.mixture._gaussian_mixture import _estimate_gaussian_parameters

N_k, self.means, self.covs = _estimate_gaussian_parameters(X, gamma, 1e-6, "full")
self.pi = N_k / X.shape[0]
