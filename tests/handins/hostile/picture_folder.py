# A folder under the picture's name.
# expect: sample_from_gmm ERROR 0
# === 5.1 sampling
# BEGIN_TRICK
(Path(path) / "gmm_sample.png").mkdir()
# END_TRICK
# The twin draws nothing either.
