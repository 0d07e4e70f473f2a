# A pool of two processes.
# === 1.1 E-step
from multiprocessing import Pool

jobs = [(X, np.log(self.pi[k]), self.means[k], self.covs[k]) for k in range(self.n_components)]
with Pool(2) as pool:
    logs = np.array(pool.starmap(log_joint, jobs)).T
logs -= logs.max(axis=1, keepdims=True)
return np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
# === end
def log_joint(X, log_pi, mean, cov):
    return log_pi + log_gaussian(X, mean, cov)
