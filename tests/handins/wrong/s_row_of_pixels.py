# One row of 784 pixels.
# expect: sample_from_gmm WRONG 0
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label], 1)
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels).save(Path(path) / "gmm_sample.png")
