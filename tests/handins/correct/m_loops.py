# Python loops over components and samples.
# === 1.2 M-step
N, D = X.shape
for k in range(self.n_components):
    Nk = 0.0
    mean = np.zeros(D)
    for n in range(N):
        Nk += gamma[n, k]
        mean += gamma[n, k] * X[n]
    mean = mean / Nk
    cov = np.zeros((D, D))
    for n in range(N):
        diff = (X[n] - mean).reshape(-1, 1)
        cov += gamma[n, k] * (diff @ diff.T)
    self.pi[k] = Nk / N
    self.means[k] = mean
    self.covs[k] = cov / Nk
