# ------ w_base_class_and_dataclass: Another structure: a base class, a dataclass, functions outside the classes, a private sampler method.
# === whole
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.special import logsumexp


def log_normal(X, mean, cov):
    L = np.linalg.cholesky(cov)
    z = np.linalg.solve(L, (X - mean).T)
    return -0.5 * (z**2).sum(axis=0) - np.log(np.diag(L)).sum() - 0.5 * len(mean) * np.log(2 * np.pi)


class Mixture:
    def _e_step(self, X):
        logs = np.log(self.pi) + np.array([self.log_density(X, k) for k in range(self.n_components)]).T
        return np.exp(logs - logsumexp(logs, axis=1, keepdims=True))


class GMM(Mixture):
    def __init__(self, n_components: int, data_dim: int):
        self.n_components, self.data_dim = n_components, data_dim
        self.means = np.zeros((n_components, data_dim))
        self.covs = np.stack([np.eye(data_dim)] * n_components)
        self.pi = np.full(n_components, 1 / n_components)

    def log_density(self, X, k):
        return log_normal(X, self.means[k], self.covs[k])

    def _m_step(self, X, gamma):
        soft = gamma.sum(axis=0)
        self.pi, self.means = soft / len(X), gamma.T @ X / soft[:, None]
        self.covs = np.array([self._scatter(X, gamma[:, k], m) for k, m in enumerate(self.means)])

    @staticmethod
    def _scatter(X, weight, mean):
        return (weight * (X - mean).T) @ (X - mean) / weight.sum()

    def draw(self, k):
        return self.means[k] + np.linalg.cholesky(self.covs[k]) @ np.random.randn(self.data_dim)


@dataclass
class PCA:
    dim: int
    components: np.ndarray = field(default=None, repr=False)
    mean: np.ndarray = field(default=None, repr=False)

    def fit(self, X):
        self.mean = X.mean(axis=0)
        self.components = np.linalg.svd(X - self.mean, full_matrices=False)[2][: self.dim]


def sample_from_gmm(gmm: GMM, pca: PCA, label: int, path):
    pixels = pca.inverse_transform(gmm.draw(label))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8).reshape(28, 28)).save(Path(path) / "gmm_sample.png")
# ------ w_subclass_of_sklearn: The classes derive from scikit-learn's estimators.
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
