# A line that is indented too far.
# expect: all ERROR 0
# === 1.2 M-step
N_k = gamma.sum(axis=0)
    self.pi = N_k / len(X)
