# Rows by component, returned transposed: a Fortran-ordered array.
# === 1.1 E-step
log_p = np.array([np.log(self.pi[k]) + log_gaussian(X, self.means[k], self.covs[k]) for k in range(self.n_components)])
p = np.exp(log_p - log_p.max(axis=0))
return (p / p.sum(axis=0)).T
