"""The lab solved as a textbook writes it, with loops and explicit inverses: a second source of mutants.

Only what the checks on the code call is here. Nothing comes from ``submission.py``, so the mutants differ, too.
"""

from pathlib import Path

import numpy as np
from PIL import Image


class GMM:
    def __init__(self, n_components, data_dim):
        self.n_components = n_components
        self.data_dim = data_dim
        self.means = np.zeros((n_components, data_dim))
        self.covs = np.array([np.eye(data_dim)] * n_components)
        self.pi = np.ones(n_components) / n_components

    def _e_step(self, X):
        K, D = self.means.shape
        gamma = np.zeros((len(X), K))
        for k in range(K):
            inverse = np.linalg.inv(self.covs[k])
            factor = 1 / np.sqrt((2 * np.pi) ** D * np.linalg.det(self.covs[k]))
            for n in range(len(X)):
                difference = X[n] - self.means[k]
                gamma[n, k] = self.pi[k] * factor * np.exp(-0.5 * difference @ inverse @ difference)
        for n in range(len(X)):
            gamma[n] = gamma[n] / np.sum(gamma[n])
        return gamma

    def _m_step(self, X, gamma):
        N, D = X.shape
        for k in range(self.n_components):
            weight = np.sum(gamma[:, k])
            self.pi[k] = weight / N
            mean = np.zeros(D)
            for n in range(N):
                mean += gamma[n, k] * X[n]
            self.means[k] = mean / weight
            cov = np.zeros((D, D))
            for n in range(N):
                difference = X[n] - self.means[k]
                cov += gamma[n, k] * np.outer(difference, difference)
            self.covs[k] = cov / weight


class PCA:
    def __init__(self, dim):
        self.dim = dim
        self.components = None
        self.mean = None

    def fit(self, X):
        self.mean = np.mean(X, axis=0)
        centred = X - self.mean
        covariance = centred.T @ centred / (len(X) - 1)
        values, vectors = np.linalg.eigh(covariance)
        order = np.argsort(values)[::-1]
        vectors = vectors[:, order]
        self.components = vectors[:, : self.dim].T

    def transform(self, X):
        return (X - self.mean) @ self.components.T

    def inverse_transform(self, Z):
        return Z @ self.components + self.mean


def sample_from_gmm(gmm, pca, label, path):
    mean, cov = gmm.means[label], gmm.covs[label]
    factor = np.linalg.cholesky(cov)
    noise = np.random.normal(size=len(mean))
    code = mean + factor @ noise
    pixels = code @ pca.components + pca.mean
    pixels[pixels < 0] = 0
    pixels[pixels > 255] = 255
    image = pixels.reshape(28, 28).astype(np.uint8)
    Image.fromarray(image).save(Path(path) / "gmm_sample.png")
