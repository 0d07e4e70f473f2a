# The exception's class has an endless name full of escapes.
# expect: e_step ERROR 0
# === 1.1 E-step
# BEGIN_TRICK
raise type("\x1b[2J\x1b[32mPASS 10/10\n" * 10_000, (Exception,), {})("PASS")
# END_TRICK
return np.zeros((len(X), self.n_components))
