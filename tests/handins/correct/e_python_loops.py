# Two Python loops, sample by sample and component by component.
# === 1.1 E-step
import math

N, D = X.shape
K = self.n_components
invs = [np.linalg.inv(self.covs[k]) for k in range(K)]
norms = [math.sqrt((2 * math.pi) ** D * np.linalg.det(self.covs[k])) for k in range(K)]
gamma = np.zeros((N, K))
for n in range(N):
    total = 0.0
    for k in range(K):
        diff = X[n] - self.means[k]
        value = self.pi[k] * math.exp(-0.5 * (diff @ invs[k] @ diff)) / norms[k]
        gamma[n, k] = value
        total += value
    if total > 0:
        for k in range(K):
            gamma[n, k] /= total
return gamma
