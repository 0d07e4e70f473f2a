# The code itself is taken for a picture.
# expect: sample_from_gmm ERROR 0
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
Image.fromarray(code.reshape(28, 28).astype(np.uint8)).save(Path(path) / "gmm_sample.png")
