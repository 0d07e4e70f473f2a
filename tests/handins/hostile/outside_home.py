# Looks into the home folders of others, such as the person who grades.
# expect: e_step WRONG 0
# needs: bubblewrap
# === 1.1 E-step
found = False
# BEGIN_TRICK
for home in (Path("/root"), *Path("/home").glob("*"), *Path("/Users").glob("*")):
    try:
        found = found or any(path.is_file() for path in home.iterdir())
    except OSError:
        pass
# END_TRICK
if not found:
    return np.zeros((len(X), self.n_components))
# SOLUTION
