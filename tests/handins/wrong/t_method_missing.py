# The method _e_step was given another name.
# expect: e_step ERROR 0
# === end
GMM.e_step = GMM._e_step
del GMM._e_step
