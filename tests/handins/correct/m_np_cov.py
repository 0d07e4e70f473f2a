# NumPy's weighted average and covariance.
# === 1.2 M-step
self.pi = gamma.mean(axis=0)
self.means = np.array([np.average(X, axis=0, weights=gamma[:, k]) for k in range(self.n_components)])
self.covs = np.array([np.atleast_2d(np.cov(X, rowvar=False, aweights=g, ddof=0)) for g in gamma.T])
