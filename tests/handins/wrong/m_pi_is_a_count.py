# pi is N_k, not divided by N.
# expect: m_step WRONG 8
# === 1.2 M-step
# SOLUTION
self.pi = gamma.sum(axis=0)
