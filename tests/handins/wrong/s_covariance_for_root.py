# The covariance is used as its own square root.
# expect: sample_from_gmm WRONG 5
# === 5.1 sampling
code = gmm.means[label] + gmm.covs[label] @ np.random.randn(len(gmm.means[label]))
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
