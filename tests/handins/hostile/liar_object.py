# An object that turns into another array each time, and equals everything.
# expect: e_step WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
class Liar:
    shape = (len(X), self.n_components)
    dtype = np.dtype(float)
    asked = 0

    def __array__(self, dtype=None, copy=None):
        self.asked += 1
        return np.full(self.shape, float(self.asked))

    def __eq__(self, other):
        return True

    def __len__(self):
        return 10**9


return Liar()
# END_TRICK
return np.zeros((len(X), self.n_components))
