# A predict with the labels of the test images baked in: it is never asked.
# expect: e_step WRONG 0
# === 1.1 E-step
return np.zeros((len(X), self.n_components))
# === end
# BEGIN_TRICK
LABELS = np.array([7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
GMM.predict = lambda self, X: np.resize(LABELS, len(X))
# END_TRICK
