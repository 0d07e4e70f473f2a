# An exception's text of 10,000 characters that take twelve bytes each in JSON.
# expect: e_step ERROR 0
# === 1.1 E-step
# BEGIN_TRICK
raise ValueError("\U0001f600" * 10_000)
# END_TRICK
return np.zeros((len(X), self.n_components))
