# X is shifted in place, pi is wrong: what is left is no more than the five points of a changed X.
# expect: m_step WRONG 5
# === 1.2 M-step
# SOLUTION
self.pi = self.pi[::-1].copy()
X += 1
