"""ColoredMNIST, and the search for the images whose colour goes against their class, without colour labels.

Each class has a colour of its own, which most of its images wear ("bias-aligned"); the others wear one of the other
nine ("bias-conflicting"). The background stays black. After Nam et al. 2020 (Learning from Failure, arXiv 2007.02561),
whose severity is how little an image's colour strays from the mean of its kind.

A detector gives each image a score, higher for what looks less like its class; it sees images and digit labels only.
"""

from typing import NamedTuple

import numpy as np

from hi_mnist.data import IMAGE_SHAPE, N_CLASSES
from labs import shared

# RGB in [0, 1]; any two lie at least 0.45 apart, and black is no neighbour of any.
COLOURS = np.array([
    [0.85, 0.05, 0.05], [0.10, 0.65, 0.10], [0.15, 0.25, 0.95], [0.95, 0.95, 0.20], [0.90, 0.15, 0.85],
    [0.10, 0.85, 0.85], [1.00, 0.50, 0.05], [0.50, 0.10, 0.55], [0.95, 0.95, 0.95], [0.55, 0.50, 0.40],
], dtype=np.float32)  # fmt: skip
COLOUR_NAMES = ("red", "green", "blue", "yellow", "magenta", "cyan", "orange", "purple", "white", "grey-brown")
SEVERITIES = (0.05, 0.02, 0.01, 0.005, 0.002)  # standard deviation of each RGB channel, severity 1 to 5
ALIGNED = 0.9  # share of a class in its own colour
SHARE = 0.1  # of the others
N_NEIGHBOURS = 10


class Colored(NamedTuple):
    """Coloured images. ``colours`` are for judging a detector, never for its use."""

    images: np.ndarray  # uint8 (N, 3, 28, 28), 0..255
    labels: np.ndarray  # int64 (N,), the digit
    colours: np.ndarray  # int64 (N,), index of COLOURS

    @property
    def conflicting(self) -> np.ndarray:
        """bool (N,): the colour is not that of the digit."""
        return self.colours != self.labels


def colorize(
    images: np.ndarray, labels: np.ndarray, severity=1, seed=0, aligned: float = ALIGNED, palette: np.ndarray = COLOURS
) -> Colored:
    """Colour grey digits, uint8 (N, 1, 28, 28), of int64 labels; the same arguments always give the same images.

    ``severity`` is 1 to 5; higher is less noise on the colours. ``aligned`` is each class's share in its own colour of
    ``palette``, float (10, 3) in [0, 1], to a whole image; the other nine get equal parts of the rest: 0.1 is no bias.
    """
    rng = np.random.default_rng([seed, severity])
    colours = np.empty(len(labels), np.int64)
    for label in range(N_CLASSES):
        members = rng.permutation(np.flatnonzero(labels == label))
        n_own = len(members) - round((1 - aligned) * len(members))
        others = rng.permutation([c for c in range(N_CLASSES) if c != label])
        colours[members[:n_own]] = label
        colours[members[n_own:]] = np.resize(others, len(members) - n_own)
    noise = rng.normal(0, SEVERITIES[severity - 1], size=(len(labels), 3))
    ink = np.clip(palette[colours] + noise, 0, 1).astype(np.float32)
    coloured = np.empty((len(images), 3, *IMAGE_SHAPE[1:]), np.uint8)
    for channel in range(3):  # all at once would take a gigabyte
        coloured[:, channel] = np.rint(images[:, 0] * ink[:, channel, None, None])
    return Colored(coloured, labels, colours)


def grey(images: np.ndarray) -> np.ndarray:
    """The assignment's way back to grey, the mean of the channels: uint8 (N, 3, 28, 28) -> float32 (N, 784), [0, 1]."""
    return images.mean(axis=1, dtype=np.float32).reshape(len(images), -1) / 255


def neighbour_distance(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The assignment's detector: mean distance of rows, float (N, d), to the nearest of their label, float64 (N,)."""
    from sklearn.neighbors import NearestNeighbors

    scores = np.zeros(len(rows))
    for label in shared.progress(np.unique(labels), desc="nearest neighbours", unit="class"):
        members = np.flatnonzero(labels == label)
        k = min(N_NEIGHBOURS, len(members) - 1)
        if k:
            nearest = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows[members])
            scores[members] = nearest.kneighbors()[0].mean(axis=1)
    return scores


def flag(scores: np.ndarray, share: float = SHARE) -> np.ndarray:
    """Flag the share of images with the highest scores, rounded to whole images: bool (N,)."""
    flagged = np.zeros(len(scores), bool)
    flagged[np.argsort(-scores, kind="stable")[: round(share * len(scores))]] = True
    return flagged


def detected(scores: np.ndarray, odd: np.ndarray) -> tuple[float | None, float | None]:
    """Recall where as many images are flagged as are odd, bool (N,), and the area under the ROC curve; None of none."""
    from sklearn.metrics import roc_auc_score

    if not odd.any():
        return None, None
    return float(flag(scores, odd.mean())[odd].mean()), float(roc_auc_score(odd, scores))


def evaluate(scores: np.ndarray, data: Colored) -> dict:
    """A detector's ``recall``, ``auc`` and ``recall_by_class`` by the true colours; None where none are odd."""
    recall, auc = detected(scores, data.conflicting)
    members = [data.labels == label for label in range(N_CLASSES)]
    by_class = [detected(scores[own], data.conflicting[own])[0] for own in members]
    return {"recall": recall, "recall_by_class": by_class, "auc": auc}
