# An array that says it equals everything, whatever it holds.
# expect: e_step WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
class Liar(np.ndarray):
    def __eq__(self, other):
        return np.ones(np.shape(other), bool)

    def __array_function__(self, *_):
        return True

    def __array_ufunc__(self, *_, **__):
        return np.zeros(1)

    def __array__(self, *_, **__):
        return np.full(self.shape, 1 / self.shape[-1])

    def astype(self, *_, **__):
        return self

    def __sub__(self, other):
        return np.zeros(np.shape(other))

    __rsub__ = __sub__


return np.zeros((len(X), self.n_components)).view(Liar)
# END_TRICK
return np.zeros((len(X), self.n_components))
