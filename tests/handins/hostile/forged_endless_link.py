# Leaves links to /dev/zero as its outcome and its answer.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
os.symlink("/dev/zero", "outputs/gamma_0.npy")
os.symlink("/dev/zero", "outputs/outcome.json")
os._exit(0)
# END_TRICK
return np.zeros((len(X), self.n_components))
