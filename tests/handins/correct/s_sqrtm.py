# Matrix square root by scipy.linalg.sqrtm.
# === 5.1 sampling
root = np.real(scipy.linalg.sqrtm(gmm.covs[label]))
x = np.random.normal(size=(1, root.shape[0])) @ root + gmm.means[label]
pixels = np.clip(pca.inverse_transform(x), 0, 255)
Image.fromarray(pixels.reshape(28, 28).astype(np.uint8)).save(Path(path).joinpath("gmm_sample.png"))
