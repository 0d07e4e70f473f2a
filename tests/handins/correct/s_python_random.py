# Python's own generator.
# === 5.1 sampling
import random

z = np.array([random.gauss(0, 1) for _ in range(gmm.data_dim)])
code = gmm.means[label] + np.linalg.cholesky(gmm.covs[label]).dot(z)
pixels = np.clip(pca.inverse_transform(code), 0, 255).reshape(28, 28)
Image.fromarray(pixels.astype(np.uint8)).save(Path(path) / "gmm_sample.png")
