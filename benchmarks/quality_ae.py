"""How well the shipped AutoEncoder's plane separates the digits, scored by mixtures that see no labels.

Symbols: N images, d embedding dimensions, K = 10. Images are uint8 (N, 1, 28, 28), 0 the background.
"""

from statistics import median

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier

from grading import scores
from hi_mnist import data
from hi_mnist.data import N_CLASSES, DataSet
from hi_mnist.networks import ae_encode

SEEDS = range(5)


def measure(ae, mnist: DataSet, standin: DataSet) -> dict:
    """All figures of the AutoEncoder.

    Args:
        ae: from ``hi_mnist.networks.load_ae``.
        mnist: the real MNIST; the training labels are used only by the figure for the 15 nearest neighbours.
        standin: the stand-in's digits, which the network has never seen.

    Returns:
        a dict that JSON can hold.
    """
    codes, test_codes = (ae_encode(ae, images).astype(np.float64) for images in (mnist.train, mnist.test))
    mixtures = fit_mixtures(codes)
    runs = [scores.agreement(mnist.test_labels, mixture.predict(test_codes)) for mixture in mixtures]
    accuracies = [run["accuracy"] for run in runs]
    middle = np.argsort(accuracies, kind="stable")[(len(runs) - 1) // 2]
    small_codes, small_test = (ae_encode(ae, images).astype(np.float64) for images in (standin.train, standin.test))
    both = np.concatenate([small_codes, small_test])
    both_labels = np.concatenate([standin.train_labels, standin.test_labels])
    own = [scores.agreement(standin.test_labels, m.predict(small_test)) for m in fit_mixtures(small_codes)]
    foreign = [scores.agreement(both_labels, mixture.predict(both)) for mixture in mixtures]
    neighbours = KNeighborsClassifier(15).fit(codes, mnist.train_labels)
    return {
        "parameters": sum(weights.numel() for weights in ae.parameters()),
        "rows": {
            f"mixture on the plane, {len(test_codes):,} test images": medians(runs),
            f"the stand-in, own mixture, {len(small_test):,} test images": medians(own),
            f"the stand-in, MNIST's mixture, all {len(both):,} images": medians(foreign),
        },
        "accuracy_of_each_seed": accuracies,
        "largest_confusions": largest_confusions(mixtures[middle].predict(test_codes), mnist.test_labels),
        "accuracy_of_15_nearest_neighbours": float(neighbours.score(test_codes, mnist.test_labels)),
        "reconstruction_mse": float(np.mean((reconstruct(ae, mnist.test) - mnist.test / 255) ** 2)),
        "mse_of_pca_to_2": pca_mse(mnist.train, mnist.test),
    }


def fit_mixtures(codes: np.ndarray) -> list[GaussianMixture]:
    """A mixture of K = 10 full Gaussians for each seed: real (N, d), without labels."""
    return [GaussianMixture(N_CLASSES, max_iter=100, random_state=seed).fit(codes) for seed in SEEDS]


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """The median of each score over the runs."""
    return {name: median(run[name] for run in runs) for name in runs[0]}


def name_clusters(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Name each of ten clusters after a digit, one to one, so that as many images as possible are named correctly.

    Args:
        clusters, labels: int (N,), 0 to 9.

    Returns:
        int64 (10,), the digit of each cluster (Kuhn 1955, the Hungarian method).
    """
    return linear_sum_assignment(scores.count_labels(labels, clusters, N_CLASSES), maximize=True)[1]


def largest_confusions(clusters: np.ndarray, labels: np.ndarray, count: int = 5) -> list[str]:
    """The most frequent digits in clusters of another name, in descending order; both int (N,), 0 to 9."""
    wrong, names = scores.count_labels(labels, clusters, N_CLASSES), name_clusters(clusters, labels)
    wrong[np.arange(N_CLASSES), names] = 0
    largest = np.argsort(-wrong, axis=None, kind="stable")[:count]
    places = zip(*np.unravel_index(largest, wrong.shape), strict=True)
    return [f"{wrong[k, c]} images of {c} among the {names[k]}s" for k, c in places if wrong[k, c]]


@torch.inference_mode()
def reconstruct(ae, images: np.ndarray, batch: int = 1000) -> np.ndarray:
    """Encode and decode: uint8 (N, 1, 28, 28) -> float32 (N, 1, 28, 28) in [0, 1]."""
    device = next(ae.parameters()).device
    blocks = torch.from_numpy(images).split(batch)
    return torch.cat([ae(block.to(device).float() / 255)[1].cpu() for block in blocks]).numpy()


def pca_mse(train: np.ndarray, test: np.ndarray) -> float:
    """Mean squared error per pixel of test images after PCA to two dimensions, pixels in [0, 1]."""
    rows = data.flatten(test).astype(np.float32) / 255
    pca = PCA(2, svd_solver="covariance_eigh").fit(data.flatten(train).astype(np.float32) / 255)
    return float(np.mean((pca.inverse_transform(pca.transform(rows)) - rows) ** 2, dtype=np.float64))
