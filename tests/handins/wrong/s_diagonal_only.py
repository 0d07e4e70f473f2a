# Independent coordinates: only the variances are used.
# expect: sample_from_gmm WRONG 5
# === 5.1 sampling
code = np.random.normal(gmm.means[label], np.sqrt(np.diag(gmm.covs[label])))
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
