# Floating-point pixels, which Pillow cannot write as PNG.
# expect: sample_from_gmm ERROR 0
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
Image.fromarray(pca.inverse_transform(code).reshape(28, 28)).save(Path(path) / "gmm_sample.png")
