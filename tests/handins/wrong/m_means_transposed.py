# The means are (D, K).
# expect: m_step WRONG 7
# === 1.2 M-step
# SOLUTION
self.means = self.means.T
