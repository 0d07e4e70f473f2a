# Pillow's own conversion from floating point, which clips.
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = pca.inverse_transform(code).reshape(28, 28)
Image.fromarray(pixels.astype(np.float32)).convert("L").save(Path(path) / "gmm_sample.png")
