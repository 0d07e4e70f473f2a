# scipy.stats draws; the file is opened by hand.
# === 5.1 sampling
from scipy.stats import multivariate_normal

x = multivariate_normal(mean=gmm.means[label], cov=gmm.covs[label], allow_singular=True).rvs(size=1)
image = np.clip(pca.inverse_transform(np.atleast_2d(x)), 0, 255).reshape(28, 28)
with open(os.path.join(str(path), "gmm_sample.png"), "wb") as f:
    Image.fromarray(np.round(image).astype(np.uint8)).save(f, format="PNG")
