# The PCA's mean is not added.
# expect: sample_from_gmm WRONG 2
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(code @ pca.components, 0, 255)
Image.fromarray(pixels.reshape(28, 28).astype(np.uint8)).save(Path(path) / "gmm_sample.png")
