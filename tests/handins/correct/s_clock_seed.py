# A generator seeded by the clock, to the nanosecond.
# === 5.1 sampling
import time

rng = np.random.RandomState(time.time_ns() % 2**32)
code = rng.multivariate_normal(gmm.means[label], gmm.covs[label], size=1)
pixels = np.clip(np.rint(pca.inverse_transform(code)), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
