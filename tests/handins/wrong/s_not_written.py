# The picture is returned and not written.
# expect: sample_from_gmm WRONG 0
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
return np.clip(pca.inverse_transform(code), 0, 255).reshape(28, 28).astype(np.uint8)
