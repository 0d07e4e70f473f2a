# An exception that raises another one when its text is asked for.
# expect: e_step ERROR 0
# === 1.1 E-step
# BEGIN_TRICK
class Bad(Exception):
    def __str__(self):
        raise Bad

    __repr__ = __str__


raise Bad
# END_TRICK
return np.zeros((len(X), self.n_components))
