"""Measures of planes and of samples of digits: functions of arrays, and a judge of digits.

    >>> from report.measures import frechet_distance
    >>> frechet_distance(features, features)
    0.0

``report.compare`` shows the results to a student; ``staff.pretrain`` measures samples with another judge.
Symbols: N images or samples, F features, K classes. Pixels are 0..255.
"""

import warnings
from statistics import median
from types import SimpleNamespace

import numpy as np
from scipy.spatial.distance import pdist
from scipy.stats import mode
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import trustworthiness
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from grading.scores import matched_accuracy
from hi_mnist import data, networks
from hi_mnist.data import N_CLASSES

NEIGHBOURS = 10
GMM_SEEDS = range(3)
JUDGE_IMAGES = 10_000
FRECHET_DIMENSIONS = 16  # fewer than samples, or their covariance would be singular

# --------------------------------------------------------------------------- planes


def score_planes(
    rows: np.ndarray, labels: np.ndarray, planes: dict[str, np.ndarray], some: np.ndarray
) -> dict[str, dict[str, float]]:
    """Trustworthiness, continuity, and the accuracy of nearest neighbours and of a mixture, for each plane.

    Args:
        rows: float32 (N, 784).
        labels: int64 (N,).
        planes: float64 (N, 2) by method.
        some: indices of the images whose neighbours are ranked.

    Returns:
        Method -> measure -> value. Source: Venna and Kaski 2001 (ICANN), equations 1 and 2.
    """
    k = min(NEIGHBOURS, (len(some) - 1) // 2)  # scikit-learn requires k < N / 2
    scores = {}
    for method, plane in tqdm(planes.items(), desc="planes", unit="plane", leave=False, delay=1):
        scores[method] = {
            "trustworthiness": float(trustworthiness(rows[some], plane[some], n_neighbors=k)),
            "continuity": float(trustworthiness(plane[some], rows[some], n_neighbors=k)),
            "knn_accuracy": knn_accuracy(plane, labels),
            "gmm_accuracy": median(gmm_accuracy(plane, labels, seed) for seed in GMM_SEEDS),
        }
    return scores


def knn_accuracy(plane: np.ndarray, labels: np.ndarray) -> float:
    """Share of points (N, 2) for which the majority of the nearest neighbours has the same label, int (N,)."""
    trained = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(plane)
    near = trained.kneighbors(return_distance=False)  # excludes the point itself
    return float((mode(labels[near], axis=1).mode == labels).mean())


def gmm_accuracy(plane: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """Accuracy of scikit-learn's mixture of ten on a plane (N, 2), against labels int (N,)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        gmm = GaussianMixture(N_CLASSES, max_iter=100, random_state=seed)
        # Divide by the spread: the ridge of 1e-6 that scikit-learn adds must mean the same in every plane.
        return matched_accuracy(labels, gmm.fit_predict(plane / plane.std()))


# --------------------------------------------------------------------------- samples


def class_agreement(asked: np.ndarray, judged: np.ndarray) -> dict:
    """How often a judge saw the class that was asked for: ``overall`` and ``per_class`` (ten shares).

    Both arrays are int (N,), 0 to 9; every class must be asked for.
    """
    right = asked == judged
    return {"overall": float(right.mean()), "per_class": [float(right[asked == c].mean()) for c in range(N_CLASSES)]}


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The Frechet distance of two sets of features, each modelled as a Gaussian.

    d^2 = |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), in float64; the trace of the root is the sum of the
    roots of the eigenvalues of S_a^(1/2) S_b S_a^(1/2), which is symmetric, so no complex root can appear.
    Its expectation falls as the sets grow: compare only values from sets of equal size.

    Args:
        a, b: real (N, F) and (M, F), two rows at least.

    Returns:
        d^2, as the literature reports it (Heusel et al. 2017, arXiv 1706.08500, equation 6), at least 0.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root_a = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    trace_of_root = np.sqrt(np.linalg.eigvalsh(root_a @ cov_b @ root_a).clip(min=0)).sum()
    shift = a.mean(axis=0) - b.mean(axis=0)
    return max(0.0, float(shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * trace_of_root))


def class_spreads(x: np.ndarray, labels: np.ndarray, k: int = 10) -> np.ndarray:
    """Mean Euclidean distance of two different rows of each class: real (N, F) and int (N,) -> float64 (k,).

    Unbiased in N. Each class needs two rows.
    """
    return np.array([pdist(np.asarray(x[labels == c], dtype=np.float64)).mean() for c in range(k)])


class Judge:
    """Says which digit an image shows: logistic regression on the features before the AutoEncoder's plane.

    These features favour no generator; the mixture's own principal components would favour the mixture.

    Args:
        ae: from ``networks.load_ae``.
        images: uint8 (N, 1, 28, 28); up to ``JUDGE_IMAGES`` of them are used.
        labels: int64 (N,).
    """

    def __init__(self, ae, images: np.ndarray, labels: np.ndarray):
        # networks.ae_encode needs only these two attributes
        self._net = SimpleNamespace(encoder=ae.trunk, parameters=ae.parameters)
        some = np.random.default_rng(0).permutation(len(images))[:JUDGE_IMAGES]
        raw = networks.ae_encode(self._net, images[some])
        self._scaler = StandardScaler().fit(raw)
        features = self._scaler.transform(raw)
        self.n_images, self.n_features = features.shape
        self._classifier = LogisticRegression(C=0.1, max_iter=300).fit(features, labels[some])
        self.pca = PCA(min(FRECHET_DIMENSIONS, *features.shape), svd_solver="covariance_eigh").fit(features)

    def features(self, images: np.ndarray) -> np.ndarray:
        """uint8 (N, 1, 28, 28) -> float32 (N, F), each with variance 1 on the training images."""
        return self._scaler.transform(networks.ae_encode(self._net, images))

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Features (N, F) -> the digit shown by each, int64 (N,)."""
        return self._classifier.predict(features)


def score_samples(samples: dict[str, np.ndarray], asked: np.ndarray, test, judge: Judge) -> dict[str, dict]:
    """Agreement, Frechet distance and diversity of samples of given classes.

    Args:
        samples: uint8 (n, 1, 28, 28) by method.
        asked: int64 (n,), the digits asked for, each at least twice.
        test: the images and labels to compare them with.
    """
    reference = judge.features(test[0])
    spreads = class_spreads(reference, test[1])
    pixel_spreads = class_spreads(data.flatten(test[0]), test[1])
    scores = {}
    for method, images in samples.items():
        features = judge.features(images)
        scores[method] = {
            "agreement": class_agreement(asked, judge.predict(features))["overall"],
            "frechet": frechet_distance(judge.pca.transform(features), judge.pca.transform(reference)),
            # Beside real images: 1 is as diverse as they are, 0 repeats one image.
            "diversity": float((class_spreads(features, asked) / spreads).mean()),
            "diversity_pixels": float((class_spreads(data.flatten(images), asked) / pixel_spreads).mean()),
        }
    return scores
