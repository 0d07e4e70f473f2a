"""The settings of a run, apart from what computes with them: ``--help`` and a mistyped flag need no torch."""

import argparse
from dataclasses import dataclass

from hi_mnist.settings import setting
from labs import shared

REDUCTIONS = ("pca", "svd", "tsne", "umap", "none")
CLUSTERERS = ("kmeans", "gmm", "spectral")
# Chosen by --choose, without labels, on other pictures than the default's; see README.md.
BEST = {"latent_dim": 64, "activation": "relu", "clusterer": "gmm"}
CLASSES = {"all": range(10), "low": range(5), "high": range(5, 10)}


@dataclass(frozen=True)
class Settings(shared.Settings):
    """The pipeline's numbers; these defaults are the text's."""

    epochs: int = setting(20, "passes over the images", low=1, high=10_000)
    batch_size: int = setting(32, "images a step", low=1, high=10_000)
    latent_dim: int = setting(1024, "numbers in a code", low=2, high=1024)
    activation: str = setting("none", "between the layers", choices=("none", "relu"))
    loss: str = setting("mae", "mean absolute or squared error", choices=("mae", "mse"))
    optimizer: str = setting("adam", "of the autoencoder", choices=("adam", "adamw", "rmsprop", "sgd"))
    learning_rate: float = setting(1e-3, "of the optimiser", low=1e-7, high=10)
    reduction: str = setting("pca", "second reduction", choices=REDUCTIONS)
    reduced_dim: int = setting(32, "dimensions after PCA or SVD; t-SNE and UMAP have two", low=2, high=1024)
    clusterer: str = setting("kmeans", "way to cluster", choices=CLUSTERERS)
    ensemble: int = setting(1, "number of runs, each with another seed, whose consensus is taken", low=1, high=99)


def bits(text: str) -> str:
    """Known labels, as in 00000."""
    if not text or set(text) - {"0", "1"} or len(text) % 2 == 0 or len(text) > 99:
        raise argparse.ArgumentTypeError(f"it must be an odd number of digits 0 or 1, as in 00000, got {text[:20]!r}")
    return text


@dataclass(frozen=True)
class Options:
    """What the command line may hold besides: which images, and what to do with them."""

    images: str | None = setting(None, "uint8 (N, 32, 32, 3) (default: digits and clothing)", metavar="FILE.npy")
    known: str = setting("00000", "labels of the first images, an odd number", metavar="BITS", parse=bits)
    count: int = setting(9000, "number of pictures that are mixed", low=100, high=120_000)
    classes: str = setting("all", "which digits and garments the default images show", choices=tuple(CLASSES))
