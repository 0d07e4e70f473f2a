# The inverse is computed anew for every pair of entries: it would take minutes.
# expect: e_step TIMEOUT 0
# === 1.1 E-step
import time

end = time.monotonic() + 60
N, D = X.shape
gamma = np.zeros((N, self.n_components))
while time.monotonic() < end:  # stands for the loops over D x D entries
    for n in range(N):
        for k in range(self.n_components):
            diff = X[n] - self.means[k]
            gamma[n, k] = self.pi[k] * np.exp(-0.5 * diff @ np.linalg.inv(self.covs[k]) @ diff)
return gamma / gamma.sum(axis=1, keepdims=True)
