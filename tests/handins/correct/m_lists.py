# Python lists of arrays.
# === 1.2 M-step
self.pi, self.means, self.covs = [], [], []
for k in range(self.n_components):
    weight = gamma[:, k]
    n = weight.sum()
    mean = (weight[:, None] * X).sum(axis=0) / n
    self.pi.append(n / len(X))
    self.means.append(mean)
    self.covs.append((weight[:, None] * (X - mean)).T @ (X - mean) / n)
