# sample_from_gmm was moved into a class.
# expect: sample_from_gmm ERROR 0
# === end
GMM.sample = sample_from_gmm
del sample_from_gmm
