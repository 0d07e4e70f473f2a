# pi has the shape (K, 1).
# expect: m_step WRONG 8
# === 1.2 M-step
# SOLUTION
self.pi = gamma.sum(axis=0)[:, None] / len(X)
