# joblib's threads.
# === top
from joblib import Parallel, delayed
# === 1.1 E-step
logs = Parallel(n_jobs=2, prefer="threads")(
    delayed(lambda k: np.log(self.pi[k]) + log_gaussian(X, self.means[k], self.covs[k]))(k) for k in range(len(self.pi))
)
logs = np.stack(logs, axis=1)
logs -= logs.max(axis=1, keepdims=True)
return np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
