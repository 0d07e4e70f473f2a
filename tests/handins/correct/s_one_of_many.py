# Several draws, of which the last one is kept; the inverse transform written out.
# === 5.1 sampling
codes = np.random.multivariate_normal(gmm.means[label], gmm.covs[label], size=5)
images = codes @ pca.components + pca.mean
images = np.clip(images, 0, 255).astype(np.uint8).reshape(-1, 28, 28)
Image.fromarray(images[-1]).save(Path(path) / "gmm_sample.png")
