# Pixels are brought to 0..1, and saved as whole numbers: a black picture.
# expect: sample_from_gmm WRONG 2
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(pca.inverse_transform(code) / 255, 0, 1)
Image.fromarray(pixels.reshape(28, 28).astype(np.uint8)).save(Path(path) / "gmm_sample.png")
