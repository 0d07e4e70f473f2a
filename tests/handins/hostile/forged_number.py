# Leaves an outcome that is a number of 50,000 digits.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
with open("outputs/outcome.json", "w") as file:
    file.write("9" * 50_000)
os._exit(0)
# END_TRICK
return np.zeros((len(X), self.n_components))
