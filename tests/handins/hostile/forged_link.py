# Leaves a link to a file outside as its answer.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
os.symlink("@OUTSIDE@/answer.npy", "outputs/gamma_0.npy")
with open("outputs/outcome.json", "w") as file:
    file.write('{"status": "done"}')
os._exit(0)
# END_TRICK
return np.zeros((len(X), self.n_components))
