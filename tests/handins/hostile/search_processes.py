# Looks for processes that are not its own, and reads their environments.
# expect: e_step WRONG 0
# needs: bubblewrap
# === 1.1 E-step
found = False
# BEGIN_TRICK
processes = list(Path("/proc").glob("[0-9]*"))
found = len(processes) > 10
for process in processes:
    try:
        found = found or b"CORPUS_SECRET" in (process / "environ").read_bytes()
    except OSError:
        pass
# END_TRICK
if not found:
    return np.zeros((len(X), self.n_components))
# SOLUTION
