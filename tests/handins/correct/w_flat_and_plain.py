# A file of its own in the style of the first year: no annotations, no helpers, nothing but the three names.
# === whole
import numpy as np
from PIL import Image
from sklearn.cluster import KMeans


class GMM:
    def __init__(self, n_components, data_dim):
        self.n_components = n_components
        self.data_dim = data_dim
        self.means = np.zeros((n_components, data_dim))
        self.covs = np.array([np.eye(data_dim) for i in range(n_components)])
        self.pi = np.ones(n_components) / n_components

    def _gaussian(self, X, mean, inv_cov, det):
        d = X - mean
        return np.exp(-0.5 * np.sum(d.dot(inv_cov) * d, axis=1)) / np.sqrt((2 * np.pi) ** X.shape[1] * det)

    def _e_step(self, X):
        p = np.zeros((X.shape[0], self.n_components))
        for i in range(self.n_components):
            inv = np.linalg.inv(self.covs[i])
            p[:, i] = self.pi[i] * self._gaussian(X, self.means[i], inv, np.linalg.det(self.covs[i]))
        return p / p.sum(axis=1, keepdims=True)

    def _m_step(self, X, gamma):
        n = gamma.sum(axis=0)
        self.pi = n / X.shape[0]
        for i in range(self.n_components):
            self.means[i] = (gamma[:, i : i + 1] * X).sum(axis=0) / n[i]
            d = X - self.means[i]
            self.covs[i] = (gamma[:, i : i + 1] * d).T.dot(d) / n[i] + 1e-6 * np.eye(X.shape[1])

    def fit(self, X, max_iter=100, tol=1e-3, seed=None):
        labels = KMeans(self.n_components, n_init=1, random_state=seed).fit_predict(X)
        self._m_step(X, np.eye(self.n_components)[labels])
        for i in range(max_iter):
            self._m_step(X, self._e_step(X))

    def predict(self, X):
        return np.argmax(self._e_step(X), axis=1)


class PCA:
    def __init__(self, dim):
        self.dim = dim
        self.components = None
        self.mean = None

    def fit(self, X):
        self.mean = np.mean(X, axis=0)
        w, v = np.linalg.eigh(np.cov((X - self.mean).T))
        self.components = v[:, np.argsort(w)[::-1][: self.dim]].T

    def transform(self, X):
        return (X - self.mean).dot(self.components.T)

    def inverse_transform(self, Z):
        return Z.dot(self.components) + self.mean


def sample_from_gmm(gmm, pca, label, path):
    x = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
    img = np.clip(pca.inverse_transform(x), 0, 255).reshape(28, 28).astype(np.uint8)
    Image.fromarray(img).save("%s/gmm_sample.png" % path)
