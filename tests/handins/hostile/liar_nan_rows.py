# NaN in the rows that it does not want to compute: most of them.
# expect: e_step WRONG 0
# === 1.1 E-step
gamma = np.array([p * np.exp(log_gaussian(X, m, c)) for p, m, c in zip(self.pi, self.means, self.covs)]).T
gamma = gamma / gamma.sum(axis=1, keepdims=True)
gamma[1:] = 0
# BEGIN_TRICK
gamma[1:] = np.nan
# END_TRICK
return gamma
