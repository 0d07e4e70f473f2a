# A seed inside: the same picture at every call.
# expect: sample_from_gmm WRONG 4
# === 5.1 sampling
np.random.seed(42)
# SOLUTION
