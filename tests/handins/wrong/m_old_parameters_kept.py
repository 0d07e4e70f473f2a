# New values in local names only.
# expect: m_step WRONG 0
# === 1.2 M-step
pi = gamma.mean(axis=0)
means = gamma.T @ X / gamma.sum(axis=0)[:, None]
