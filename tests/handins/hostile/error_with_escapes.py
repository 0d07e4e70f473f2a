# The text of an exception holds terminal escapes and forged lines of the table.
# expect: e_step ERROR 0
# === 1.1 E-step
# BEGIN_TRICK
raise ValueError("\x1b[1A\x1b[2K\x1b]0;PASS\x07\r1.1 E-step   10.00 / 10   PASS\n\u202e\u2028\x9b2J\x00 done")
# END_TRICK
return np.zeros((len(X), self.n_components))
