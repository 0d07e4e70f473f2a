# An (N K) x (N K) matrix of which only the diagonal would be needed.
# expect: e_step MEMORY 0
# === 1.1 E-step
pairs = np.ones((20000, 20000))  # what N = 60,000 would take, were the machine large enough
return pairs[: len(X), : self.n_components]
