# An answer of 100 MB, which NumPy reserves on the disk before the first byte is refused.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
return np.broadcast_to(0.0, (1_250_000, 10))
# END_TRICK
return np.zeros((len(X), self.n_components))
