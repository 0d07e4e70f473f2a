# Mean + L z with the Cholesky factor; the path joined as text.
# === 5.1 sampling
L = np.linalg.cholesky(gmm.covs[label])
x = gmm.means[label] + L @ np.random.randn(gmm.means.shape[1])
img = pca.inverse_transform(x[np.newaxis, :])[0]
img[img < 0] = 0
img[img > 255] = 255
Image.fromarray(img.reshape((28, 28)).astype("uint8")).save(os.path.join(path, "gmm_sample.png"), "PNG")
