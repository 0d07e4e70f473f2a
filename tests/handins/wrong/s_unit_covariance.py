# Standard normal noise around the mean.
# expect: sample_from_gmm WRONG 5
# === 5.1 sampling
code = gmm.means[label] + np.random.randn(gmm.means.shape[1])
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
