# Returns objects that would make a file when they are unpickled.
# expect: e_step WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
class Trap:
    def __reduce__(self):
        return os.mkdir, ("@OUTSIDE@/trapped",)


return np.array([[Trap()] * self.n_components] * len(X), dtype=object)
# END_TRICK
return np.zeros((len(X), self.n_components))
