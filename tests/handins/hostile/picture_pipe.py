# A pipe under the picture's name: who opens it waits for ever.
# expect: sample_from_gmm WRONG 0
# === 5.1 sampling
# BEGIN_TRICK
os.mkfifo(Path(path) / "gmm_sample.png")
# END_TRICK
# The twin draws nothing either.
