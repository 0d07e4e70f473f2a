# Masked arrays, in which every comparison is masked.
# expect: e_step WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
return np.ma.masked_array(np.zeros((len(X), self.n_components)), mask=True)
# END_TRICK
return np.zeros((len(X), self.n_components))
