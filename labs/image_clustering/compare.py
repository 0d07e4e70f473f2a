"""The text's improvements one at a time, scored by the kinds; and a choice among ways that no kind enters.

The kinds score the finished labels; no row sees more of them than the known first five, and ``choose`` sees none.
"""

from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
from sklearn.metrics import adjusted_rand_score

from labs.image_clustering import submission
from labs.image_clustering.pictures import KNOWN
from labs.image_clustering.pipeline import as_tensor, cluster, reconstruct, reduce, train
from labs.image_clustering.settings import BEST, CLUSTERERS, Settings

TEXT = "as in the text"
LATENTS = {f"relu, {d} numbers": {"activation": "relu", "latent_dim": d} for d in (1024, 64, 32, 16)}
TRAININGS = {
    TEXT: {},
    "5 epochs": {"epochs": 5},
    "40 epochs": {"epochs": 40},
    "loss MSE": {"loss": "mse"},
    "optimiser SGD": {"optimizer": "sgd"},
    "optimiser RMSprop": {"optimizer": "rmsprop"},
    "learning rate 1e-2": {"learning_rate": 1e-2},
    "learning rate 1e-4": {"learning_rate": 1e-4},
} | LATENTS
STABLE = {TEXT: {}} | {name: changes for name, changes in LATENTS.items() if changes["latent_dim"] < 1024}
SEEDS = 3  # runs that a stable way must agree in
LEAST_SHARE = 0.1  # of the images in each cluster: to cut off a handful is stable, and says nothing


class Row(NamedTuple):
    """One way to the labels and its accuracy."""

    training: str
    reduction: str
    clusterer: str
    loss: float  # of the last epoch; MAE and MSE are not comparable
    accuracy: float
    seconds: float  # training of the autoencoder
    l1_error: float  # of the reconstructions, the mean over pixels in [-1, 1]


class Way(NamedTuple):
    """A training and a clusterer: how well the labels of runs with several seeds agree."""

    training: str
    clusterer: str
    agreement: float  # mean adjusted Rand index of two runs: 1 the same clusters, 0 chance
    smallest: float  # the smallest share of images that a cluster holds in any run


def accuracy(labels: np.ndarray, kinds: np.ndarray) -> float:
    """Share of right labels, int (N,) against int (N,), once the first five have named the two clusters."""
    return float((submission.flip(labels, kinds[:KNOWN]) == kinds).mean())


def compare(images: np.ndarray, kinds: np.ndarray, base: Settings, reductions: list[str]) -> tuple[list[Row], dict]:
    """Measure pixels and their PCA, each training with each clusterer, and with the best each reduction.

    Prints each step, for all take many minutes. Images are uint8 (N, 32, 32, 3), kinds int (N,); the variants differ
    from ``base``. Beside the rows come the images that the autoencoders of each size make, uint8, by size and L1 error.
    """
    tensor, rows, labellings, shown = as_tensor(images), [], [], {}

    def add(name: str, settings: Settings, points: np.ndarray, loss=np.nan, seconds=0.0, error=np.nan) -> None:
        labels = cluster(points, settings)
        labellings.append(labels)
        rows.append(Row(name, settings.reduction, settings.clusterer, loss, accuracy(labels, kinds), seconds, error))
        print(f"  {settings.reduction}, {settings.clusterer}: accuracy {rows[-1].accuracy:.4f}", flush=True)

    print("no autoencoder", flush=True)
    pixels = images.reshape(len(images), -1) / np.float32(255)
    add("none: pixels", replace(base, reduction="none", clusterer="kmeans"), pixels)
    points = reduce(pixels, replace(base, reduction="pca"))
    for clusterer in CLUSTERERS:
        add("none: pixels", replace(base, reduction="pca", clusterer=clusterer), points)
    n_without = len(rows)
    for name, changes in TRAININGS.items():
        print(f"training: {name}", flush=True)
        settings = replace(base, **changes)
        trained = train(tensor, settings)
        made, errors = reconstruct(trained.autoencoder, tensor)
        if name in LATENTS:
            shown[f"{settings.latent_dim} numbers, L1 {errors.mean():.3f}"] = made
        for reduction in reductions if changes.items() <= BEST.items() and changes else [base.reduction]:
            points = reduce(trained.codes, replace(settings, reduction=reduction))
            for clusterer in CLUSTERERS:
                way = replace(settings, reduction=reduction, clusterer=clusterer)
                add(name, way, points, trained.losses[-1], trained.seconds, float(errors.mean()))
    ways = list(zip(rows, labellings, strict=True))[n_without:]
    for kind in (*CLUSTERERS, "every clusterer and reduction"):
        chosen = [labels for row, labels in ways if kind not in CLUSTERERS or (row[1:3] == (base.reduction, kind))]
        score = accuracy(submission.consensus(np.array(chosen)), kinds)
        rows.append(Row(f"ensemble: {kind}", "-", "consensus", np.nan, score, 0.0, np.nan))
        print(f"consensus of all trainings, {kind}: accuracy {score:.4f}", flush=True)
    return rows, shown


def choose(images: np.ndarray, base: Settings) -> list[Way]:
    """Rank ways to the labels of uint8 (N, 32, 32, 3) by how well runs with other seeds agree, the most stable first.

    Prints each step. Ways that cut off a small cluster come last; they differ from ``base``, whose seed is the first.
    """
    tensor, ways = as_tensor(images), []
    for name, changes in STABLE.items():
        print(f"training with {SEEDS} seeds: {name}", flush=True)
        members = [replace(base, **changes, seed=(base.seed + i) % 2**32) for i in range(SEEDS)]
        points = [reduce(train(tensor, settings).codes, settings) for settings in members]
        for clusterer in CLUSTERERS:
            pairs = zip(points, members, strict=True)
            labels = [cluster(its, replace(settings, clusterer=clusterer)) for its, settings in pairs]
            agreement = np.mean([adjusted_rand_score(a, b) for a, b in combinations(labels, 2)])
            smallest = min(np.bincount(one, minlength=2).min() / len(one) for one in labels)
            ways.append(Way(name, clusterer, float(agreement), float(smallest)))
            print(f"  {clusterer}: agreement {agreement:.3f}, smallest cluster {smallest:.1%}", flush=True)
    return sorted(ways, key=lambda way: (way.smallest >= LEAST_SHARE, way.agreement), reverse=True)
