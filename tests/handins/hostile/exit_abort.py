# abort().
# expect: sample_from_gmm CRASH 0
# === 5.1 sampling
# BEGIN_TRICK
os.abort()
# END_TRICK
# SOLUTION
