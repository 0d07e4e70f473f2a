# Every generator gives the same numbers for ever.
# expect: sample_from_gmm WRONG 4
# === top
# BEGIN_TRICK
np.random.multivariate_normal = lambda mean, cov, size=None: np.random.default_rng(0).multivariate_normal(mean, cov, size)
# END_TRICK
