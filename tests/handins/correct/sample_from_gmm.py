# ------ s_changes_folder: Goes into the folder and writes there.
os.chdir(path)
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save("gmm_sample.png")
# ------ s_cholesky_text_path: Mean + L z with the Cholesky factor; the path joined as text.
L = np.linalg.cholesky(gmm.covs[label])
x = gmm.means[label] + L @ np.random.randn(gmm.means.shape[1])
img = pca.inverse_transform(x[np.newaxis, :])[0]
img[img < 0] = 0
img[img > 255] = 255
Image.fromarray(img.reshape((28, 28)).astype("uint8")).save(os.path.join(path, "gmm_sample.png"), "PNG")
# ------ s_clock_seed: A generator seeded by the clock, to the nanosecond.
import time

rng = np.random.RandomState(time.time_ns() % 2**32)
code = rng.multivariate_normal(gmm.means[label], gmm.covs[label], size=1)
pixels = np.clip(np.rint(pca.inverse_transform(code)), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
# ------ s_eigh_root: Square root of the covariance by eigh.
values, vectors = np.linalg.eigh(gmm.covs[label])
x = gmm.means[label] + vectors @ (np.sqrt(values) * np.random.standard_normal(len(values)))
pixels = np.minimum(np.maximum(pca.inverse_transform(x), 0), 255)
Image.fromarray(np.uint8(pixels.round().reshape(28, 28))).save(f"{path}/gmm_sample.png")
# ------ s_pillow_converts: Pillow's own conversion from floating point, which clips.
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = pca.inverse_transform(code).reshape(28, 28)
Image.fromarray(pixels.astype(np.float32)).convert("L").save(Path(path) / "gmm_sample.png")
# ------ s_python_random: Python's own generator.
import random

z = np.array([random.gauss(0, 1) for _ in range(gmm.data_dim)])
code = gmm.means[label] + np.linalg.cholesky(gmm.covs[label]).dot(z)
pixels = np.clip(pca.inverse_transform(code), 0, 255).reshape(28, 28)
Image.fromarray(pixels.astype(np.uint8)).save(Path(path) / "gmm_sample.png")
# ------ s_scipy_rvs: scipy.stats draws; the file is opened by hand.
from scipy.stats import multivariate_normal

x = multivariate_normal(mean=gmm.means[label], cov=gmm.covs[label], allow_singular=True).rvs(size=1)
image = np.clip(pca.inverse_transform(np.atleast_2d(x)), 0, 255).reshape(28, 28)
with open(os.path.join(str(path), "gmm_sample.png"), "wb") as f:
    Image.fromarray(np.round(image).astype(np.uint8)).save(f, format="PNG")
# ------ s_sklearn_sample: scikit-learn's mixture draws, with one component.
from sklearn.mixture import GaussianMixture

model = GaussianMixture(1)
model.weights_ = np.ones(1)
model.means_ = gmm.means[label][None]
model.covariances_ = gmm.covs[label][None]
z, _ = model.sample(1)
img = np.clip(pca.inverse_transform(z).reshape(28, 28), 0, 255).astype(np.uint8)
Image.fromarray(img, "L").save(Path(path) / "gmm_sample.png")
# ------ s_stretched [says np.clip]: The picture's own range is stretched to 0..255, as the original lab does.
sample = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
img = pca.inverse_transform(sample).reshape(28, 28)
img = (img - img.min()) / (img.max() - img.min()) * 255
Image.fromarray(img.astype(np.uint8)).save(Path(path) / "gmm_sample.png")
