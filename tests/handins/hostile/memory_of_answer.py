# An answer that takes no memory until it is copied: 8 petabytes, more than any system gives.
# expect: e_step MEMORY 0
# === 1.1 E-step
# BEGIN_TRICK
return np.broadcast_to(0.0, (10**14, 10))
# END_TRICK
return np.zeros((len(X), self.n_components))
