"""The members of clusters: all, the typical ones, and those that the mixture is least certain of.

Everything is computed from a run's saved parameters, never by the student's ``predict``.
"""

from dataclasses import dataclass

import numpy as np

from hi_mnist import runs
from hi_mnist.runs import SavedRun


@dataclass
class Clustering:
    """A run's clustering of some images."""

    cluster: np.ndarray  # the most probable component of each, int64 (N,)
    certainty: np.ndarray  # its probability, float64 (N,), between 1/K and 1
    distance: np.ndarray  # squared Mahalanobis distance from that component's centre, float64 (N,)

    def members(self, k: int) -> np.ndarray:
        return np.flatnonzero(self.cluster == k)

    def typical(self, k: int) -> np.ndarray:
        """The ten members nearest to the centre, nearest first: indices of images."""
        members = self.members(k)
        return members[np.argsort(self.distance[members], kind="stable")[:10]]

    def doubtful(self, k: int) -> np.ndarray:
        """The ten members with the lowest certainty, lowest first: indices of images."""
        members = self.members(k)
        return members[np.argsort(self.certainty[members], kind="stable")[:10]]


def clustering(run: SavedRun, images: np.ndarray) -> Clustering:
    """Cluster images (N, 1, 28, 28) by the run's parameters."""
    mixture = runs.mixture(run)
    codes = runs.embed(run, images)
    gamma = mixture.predict_proba(codes)
    cluster = gamma.argmax(axis=1)
    distance = np.empty(len(codes))
    for k in range(run.n_components):
        members = cluster == k
        white = (codes[members] - mixture.means_[k]) @ mixture.precisions_cholesky_[k]
        distance[members] = np.einsum("nd,nd->n", white, white)
    return Clustering(cluster, gamma.max(axis=1), distance)
