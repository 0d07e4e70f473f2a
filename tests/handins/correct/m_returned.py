# The new parameters are returned, in the order of the lecture, and not set.
# === 1.2 M-step
N_k = gamma.sum(axis=0)
pi = N_k / len(X)
means = gamma.T @ X / N_k[:, None]
covs = np.array([(gamma[:, k, None] * (X - means[k])).T @ (X - means[k]) / N_k[k] for k in range(len(N_k))])
return pi, means, covs
