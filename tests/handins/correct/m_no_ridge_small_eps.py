# No ridge; a tiny number keeps N_k from zero.
# === 1.2 M-step
N_k = gamma.sum(axis=0) + 1e-10
self.pi = N_k / X.shape[0]
self.means = gamma.T.dot(X) / N_k[:, None]
for k in range(self.n_components):
    centred = X - self.means[k]
    self.covs[k] = centred.T @ np.diag(gamma[:, k]) @ centred / N_k[k]
