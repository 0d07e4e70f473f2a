# Leaves a pipe as its outcome: who opens it waits for ever.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
os.mkfifo("outputs/outcome.json")
os._exit(0)
# END_TRICK
return np.zeros((len(X), self.n_components))
