# The class GMM is missing.
# expect: e_step ERROR 0
# expect: m_step ERROR 0
# === end
del GMM
