# X is overwritten, and comparisons are patched to hide it.
# expect: m_step WRONG 5
# === 1.2 M-step
# SOLUTION
X[:] = X[::-1].copy()
# BEGIN_TRICK
np.array_equal = np.allclose = lambda *_, **__: True
# END_TRICK
