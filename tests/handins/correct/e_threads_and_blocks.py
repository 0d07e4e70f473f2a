# Blocks of rows on a pool of threads.
# === 1.1 E-step
from concurrent.futures import ThreadPoolExecutor

def block(rows):
    logs = np.stack([np.log(p) + log_gaussian(rows, m, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
    top = logs.max(axis=1, keepdims=True)
    return np.exp(logs - top) / np.exp(logs - top).sum(axis=1, keepdims=True)

with ThreadPoolExecutor(4) as pool:
    return np.concatenate(list(pool.map(block, np.array_split(X, 5))))
