# Scaled to 0..1, clipped there, and scaled back.
# === 5.1 sampling
z = np.random.multivariate_normal(gmm.means[label], gmm.covs[label], 1)
image = np.clip(pca.inverse_transform(z) / 255.0, 0.0, 1.0)
Image.fromarray((image * 255).reshape(28, 28).astype(np.uint8)).save(str(Path(path) / "gmm_sample.png"))
