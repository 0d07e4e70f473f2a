# An exception's text that no encoding can write.
# expect: e_step ERROR 0
# === 1.1 E-step
# BEGIN_TRICK
raise ValueError("half a character: \ud83d")
# END_TRICK
return np.zeros((len(X), self.n_components))
