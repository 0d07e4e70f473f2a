# One bit a pixel.
# expect: sample_from_gmm WRONG 0
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = pca.inverse_transform(code).reshape(28, 28) > 127
Image.fromarray(pixels).save(Path(path) / "gmm_sample.png")
