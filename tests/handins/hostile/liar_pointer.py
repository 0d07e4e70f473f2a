# An object that says its numbers lie at address 8.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
class Liar:
    __array_interface__ = {"shape": (len(X), self.n_components), "typestr": "<f8", "data": (8, False), "version": 3}


return Liar()
# END_TRICK
return np.zeros((len(X), self.n_components))
