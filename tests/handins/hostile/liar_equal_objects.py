# Objects that equal everything.
# expect: e_step WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
from unittest.mock import ANY

return np.array([[ANY] * self.n_components] * len(X), dtype=object)
# END_TRICK
return np.zeros((len(X), self.n_components))
