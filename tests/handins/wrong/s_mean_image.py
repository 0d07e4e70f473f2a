# The component's mean instead of a draw.
# expect: sample_from_gmm WRONG 4
# === 5.1 sampling
pixels = np.clip(pca.inverse_transform(gmm.means[label]), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
