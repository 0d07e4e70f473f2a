# Square root of the covariance by eigh.
# === 5.1 sampling
values, vectors = np.linalg.eigh(gmm.covs[label])
x = gmm.means[label] + vectors @ (np.sqrt(values) * np.random.standard_normal(len(values)))
pixels = np.minimum(np.maximum(pca.inverse_transform(x), 0), 255)
Image.fromarray(np.uint8(pixels.round().reshape(28, 28))).save(f"{path}/gmm_sample.png")
