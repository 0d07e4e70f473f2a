# A misspelt name.
# expect: e_step ERROR 0
# === 1.1 E-step
return gama / gama.sum(axis=1, keepdims=True)
