"""The text's improvements, one at a time: what each is worth on images whose kinds are known.

    rows = compare(images, kinds, Settings(), ["pca", "tsne"])

The kinds score the finished labels; no row sees more of them than the known first five.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from labs.image_clustering import submission
from labs.image_clustering.pictures import KNOWN
from labs.image_clustering.pipeline import Trained, as_tensor, cluster, reduce, train
from labs.image_clustering.settings import CLUSTERERS, Settings

TRAININGS = {
    "as in the text": {},
    "5 epochs": {"epochs": 5},
    "40 epochs": {"epochs": 40},
    "latent size 64": {"latent_dim": 64},
    "activation relu": {"activation": "relu"},
    "loss MSE": {"loss": "mse"},
    "optimiser SGD": {"optimizer": "sgd"},
    "optimiser RMSprop": {"optimizer": "rmsprop"},
    "learning rate 1e-2": {"learning_rate": 1e-2},
    "learning rate 1e-4": {"learning_rate": 1e-4},
}


class Row(NamedTuple):
    """One way to the labels and its accuracy."""

    training: str
    reduction: str
    clusterer: str
    loss: float  # of the last epoch; MAE and MSE are not comparable
    accuracy: float
    seconds: float  # training of the autoencoder


def accuracy(labels: np.ndarray, kinds: np.ndarray) -> float:
    """Share of right labels, int (N,) against int (N,), once the first five have named the two clusters."""
    return float((submission.flip(labels, kinds[:KNOWN]) == kinds).mean())


def compare(images: np.ndarray, kinds: np.ndarray, base: Settings, reductions: list[str]) -> list[Row]:
    """Measure each training with k-means and spectral clustering, and each reduction with each way to cluster.

    Prints each step, for all take minutes.

    Args:
        images: uint8 (N, 32, 32, 3).
        kinds: int (N,).
        base: what the variants differ from.
        reductions: which of ``settings.REDUCTIONS``.
    """
    tensor, rows, labellings = as_tensor(images), [], []

    def add(name: str, settings: Settings, trained: Trained, points: np.ndarray) -> None:
        labels = cluster(points, settings)
        labellings.append(labels)
        score = accuracy(labels, kinds)
        rows.append(Row(name, settings.reduction, settings.clusterer, trained.losses[-1], score, trained.seconds))
        print(f"  {settings.reduction}, {settings.clusterer}: accuracy {score:.4f}", flush=True)

    first = None
    for name, changes in TRAININGS.items():
        print(f"training: {name}", flush=True)
        settings = replace(base, **changes)
        trained = train(tensor, settings)
        first = first or trained
        points = reduce(trained.codes, settings)
        for clusterer in ("kmeans", "spectral"):
            add(name, replace(settings, clusterer=clusterer), trained, points)
    n_trainings = len(rows)
    for reduction in reductions:
        print(f"reducing: {reduction}", flush=True)
        settings = replace(base, reduction=reduction)
        points = reduce(first.codes, settings)
        for clusterer in CLUSTERERS:
            # The first two are measured above; the last has two covariances of 1,024 x 1,024 numbers, from few images.
            if (reduction, clusterer) not in (("pca", "kmeans"), ("pca", "spectral"), ("none", "gmm")):
                add("as in the text", replace(settings, clusterer=clusterer), first, points)

    def agree(name: str, chosen: list[np.ndarray]) -> None:
        labels = submission.consensus(np.array(chosen))
        rows.append(Row(name, "-", "consensus", float("nan"), accuracy(labels, kinds), 0.0))

    agree("ensemble: all trainings, k-means", labellings[0:n_trainings:2])
    agree("ensemble: all trainings, spectral", labellings[1:n_trainings:2])
    agree("ensemble: every row above", labellings)
    return rows
