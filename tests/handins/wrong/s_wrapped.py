# Pixels beyond 0..255 wrap around.
# expect: sample_from_gmm WRONG 5
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = pca.inverse_transform(code).astype(np.int64).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
