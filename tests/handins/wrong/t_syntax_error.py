# A bracket is missing: Python cannot read the file.
# expect: all ERROR 0
# === 2.1 PCA
self.mean = np.mean(X, axis=0
self.components = None
