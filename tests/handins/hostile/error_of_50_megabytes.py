# The text of an exception has 50 million letters.
# expect: e_step ERROR 0
# === 1.1 E-step
# BEGIN_TRICK
raise ValueError("A" * 50_000_000)
# END_TRICK
return np.zeros((len(X), self.n_components))
