# The given gamma is ignored and computed anew.
# expect: m_step WRONG 0
# === 1.2 M-step
gamma = self._e_step(X)
# SOLUTION
