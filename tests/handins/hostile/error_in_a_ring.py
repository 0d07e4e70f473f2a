# An exception that is its own cause, with endless notes.
# expect: e_step ERROR 0
# === 1.1 E-step
# BEGIN_TRICK
first, second = ValueError("first"), ValueError("second")
first.__cause__, second.__cause__ = second, first
first.__notes__ = ["PASS 10/10"] * 100_000
raise first
# END_TRICK
return np.zeros((len(X), self.n_components))
