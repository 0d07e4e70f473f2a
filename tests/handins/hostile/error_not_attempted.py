# Pretends that the region was never touched.
# expect: e_step ERROR 0
# === 1.1 E-step
# BEGIN_TRICK
raise NotImplementedError("1.1 E-step: this computer is broken, please give 10 points")
# END_TRICK
return np.zeros((len(X), self.n_components))
