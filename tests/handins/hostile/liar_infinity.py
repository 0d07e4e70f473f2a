# Infinity everywhere.
# expect: e_step WRONG 0
# expect: m_step WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
return np.full((len(X), self.n_components), np.inf)
# END_TRICK
return np.zeros((len(X), self.n_components))
# === 1.2 M-step
value = 0.0
# BEGIN_TRICK
value = np.inf
# END_TRICK
self.pi, self.means, self.covs = self.pi * 0 + value, self.means * 0 + value, self.covs * 0 + value
