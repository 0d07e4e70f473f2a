# A softmax of distances to the means.
# expect: e_step WRONG 0
# === 1.1 E-step
from scipy.spatial.distance import cdist
from scipy.special import softmax

return softmax(-cdist(X, self.means), axis=1)
