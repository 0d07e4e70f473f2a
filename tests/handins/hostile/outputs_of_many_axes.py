# Parameters of eight axes, which take minutes and megabytes to print.
# expect: m_step WRONG 8
# === 1.2 M-step
# SOLUTION
# BEGIN_TRICK
self.pi = np.random.rand(*[6] * 8)
# END_TRICK
