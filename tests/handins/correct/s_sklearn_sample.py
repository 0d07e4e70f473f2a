# scikit-learn's mixture draws, with one component.
# === 5.1 sampling
from sklearn.mixture import GaussianMixture

model = GaussianMixture(1)
model.weights_ = np.ones(1)
model.means_ = gmm.means[label][None]
model.covariances_ = gmm.covs[label][None]
z, _ = model.sample(1)
img = np.clip(pca.inverse_transform(z).reshape(28, 28), 0, 255).astype(np.uint8)
Image.fromarray(img, "L").save(Path(path) / "gmm_sample.png")
