# The picture is a link to one that lies outside.
# expect: sample_from_gmm WRONG 0
# needs: bubblewrap
# === 5.1 sampling
# BEGIN_TRICK
os.symlink("@OUTSIDE@/picture.png", Path(path) / "gmm_sample.png")
# END_TRICK
# The twin draws nothing either.
