# NumPy's new generator.
# === 5.1 sampling
rng = np.random.default_rng()
z = rng.multivariate_normal(gmm.means[label], gmm.covs[label])
img = pca.inverse_transform(z).reshape(28, 28)
img = np.clip(img, 0, 255).astype(np.uint8)
Image.fromarray(img).save(Path(path) / "gmm_sample.png")
