# The sampler sets the mixture's covariances to zero, so that the mean alone would be a fair draw.
# expect: sample_from_gmm WRONG 4
# === 5.1 sampling
# BEGIN_TRICK
gmm.covs[:] = 0
gmm.covs.flags.writeable = False
# END_TRICK
pixels = np.clip(pca.inverse_transform(gmm.means[label]), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
