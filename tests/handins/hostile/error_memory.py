# Pretends that there is no memory left.
# expect: e_step MEMORY 0
# === 1.1 E-step
# BEGIN_TRICK
raise MemoryError("10/10")
# END_TRICK
return np.zeros((len(X), self.n_components))
