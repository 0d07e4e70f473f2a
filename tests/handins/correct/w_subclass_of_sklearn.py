# The classes derive from scikit-learn's estimators.
# === whole
import os

import numpy as np
from PIL import Image
from scipy.stats import multivariate_normal
from sklearn import decomposition
from sklearn.base import BaseEstimator


class GMM(BaseEstimator):
    def __init__(self, n_components, data_dim):
        self.n_components = n_components
        self.data_dim = data_dim

    def _e_step(self, X):
        p = [w * multivariate_normal(m, c).pdf(X) for w, m, c in zip(self.pi, self.means, self.covs)]
        p = np.reshape(p, (self.n_components, -1)).T
        return p / p.sum(axis=1, keepdims=True)

    def _m_step(self, X, gamma):
        N = gamma.sum(axis=0)
        self.means = gamma.T @ X / N[:, None]
        self.covs = [(g[:, None] * (X - m)).T @ (X - m) / n for g, m, n in zip(gamma.T, self.means, N)]
        self.pi = N / len(X)


class PCA(decomposition.PCA):
    def __init__(self, dim):
        super().__init__(n_components=dim)
        self.dim = dim

    def fit(self, X):
        super().fit(X)
        self.components, self.mean = self.components_, self.mean_


def sample_from_gmm(gmm, pca, label, path):
    z = np.random.multivariate_normal(gmm.means[label], gmm.covs[label], 1)
    img = np.clip(pca.inverse_transform(z), 0, 255).reshape(28, 28)
    Image.fromarray(img.astype(np.uint8)).save(os.path.join(path, "gmm_sample.png"))
