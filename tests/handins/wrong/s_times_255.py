# Pixels, which are 0..255 already, are multiplied by 255.
# expect: sample_from_gmm WRONG 4
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(pca.inverse_transform(code) * 255, 0, 255)
Image.fromarray(pixels.reshape(28, 28).astype(np.uint8)).save(Path(path) / "gmm_sample.png")
