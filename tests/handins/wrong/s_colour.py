# Three channels.
# expect: sample_from_gmm WRONG 0
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8).reshape(28, 28)
Image.fromarray(np.stack([pixels] * 3, axis=-1)).save(Path(path) / "gmm_sample.png")
