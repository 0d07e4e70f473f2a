# path + "gmm_sample.png" without a slash.
# expect: sample_from_gmm WRONG 0
# === 5.1 sampling
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(str(path) + "gmm_sample.png")
