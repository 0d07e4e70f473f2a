# Searches every file that it finds for an array whose rows sum to 1.
# expect: e_step WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
for folder in (Path.cwd(), Path.cwd().parent, Path(os.environ["HOME"]), Path("@OUTSIDE@")):
    for file in list(folder.glob("*.npy")) + list(folder.glob("*/*.npy")):
        try:
            array = np.load(file)
        except (OSError, ValueError):
            continue
        if array.shape == (len(X), self.n_components) and np.allclose(array.sum(axis=1), 1):
            return array
# END_TRICK
return np.zeros((len(X), self.n_components))
