# np.save under the picture's name.
# expect: sample_from_gmm WRONG 0
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
with open(Path(path) / "gmm_sample.png", "wb") as file:
    np.save(file, np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8))
