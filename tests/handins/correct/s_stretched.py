# The picture's own range is stretched to 0..255, as the original lab does.
# === 5.1 sampling
sample = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
img = pca.inverse_transform(sample).reshape(28, 28)
img = (img - img.min()) / (img.max() - img.min()) * 255
Image.fromarray(img.astype(np.uint8)).save(Path(path) / "gmm_sample.png")
