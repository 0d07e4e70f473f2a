# Reads a file that is none of its business: another hand-in's answer.
# expect: e_step WRONG 0
# needs: bubblewrap
# === 1.1 E-step
# BEGIN_TRICK
try:
    scope = {"np": np}
    exec(Path("@OUTSIDE@/other_hand_in.py").read_text(), scope)
    return scope["e_step"](X, self.means, self.covs, self.pi)
except OSError:
    pass
# END_TRICK
return np.zeros((len(X), self.n_components))
