# Looks up the inputs in the caller's frame and changes them, so that its own wrong answer would be the right one.
# expect: e_step WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
import sys

frame = sys._getframe()
while frame:
    for name, value in dict(frame.f_locals.get("inputs") or {}).items():
        if name.startswith(("means_", "x_")):
            value[...] = 0
        elif name.startswith("pi_"):
            value[...] = 1 / len(value)
    frame = frame.f_back
# END_TRICK
return np.full((len(X), self.n_components), 1 / self.n_components)
