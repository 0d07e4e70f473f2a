"""The measures of a benchmark as pure functions of arrays: no network, no file, no printing.

    >>> from benchmarks.measures import clustering_scores
    >>> clustering_scores(np.array([1, 1, 0]), np.array([4, 4, 7]))["accuracy"]
    1.0

Symbols: N samples, F features, K clusters or classes. Images are uint8 (N, 1, 28, 28), 0 the background.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

# The student's comparison measures samples too: one definition for both.
from grading.measures import class_agreement as agreement  # noqa: F401
from grading.measures import class_spreads, diversity, frechet_distance, spread  # noqa: F401

# --------------------------------------------------------------------------- clusters against digits


def match_clusters(clusters: np.ndarray, labels: np.ndarray, k: int = 10) -> np.ndarray:
    """Name each cluster after a class, one to one, so that as many samples as possible are named rightly.

    Args:
        clusters: int (N,), 0 to k - 1.
        labels: int (N,), 0 to k - 1.
        k: number of clusters and of classes.

    Returns:
        int64 (k,), the class of each cluster (Kuhn 1955, the Hungarian method).
    """
    return linear_sum_assignment(-contingency(clusters, labels, k))[1]


def contingency(rows: np.ndarray, columns: np.ndarray, k: int = 10) -> np.ndarray:
    """How often each pair occurs: int (N,) twice, 0 to k - 1 -> int64 (k, k)."""
    table = np.zeros((k, k), dtype=np.int64)
    np.add.at(table, (rows, columns), 1)
    return table


def clustering_scores(clusters: np.ndarray, labels: np.ndarray, k: int = 10) -> dict[str, float]:
    """Accuracy by the best one-to-one matching, normalised mutual information, adjusted Rand index.

    Args:
        clusters: int (N,), 0 to k - 1; how the clusters are numbered does not matter.
        labels: int (N,), 0 to k - 1.

    Returns:
        ``accuracy``, ``nmi`` and ``ari``.
    """
    named = match_clusters(clusters, labels, k)[clusters]
    return {
        "accuracy": float(np.mean(named == labels)),
        "nmi": float(normalized_mutual_info_score(labels, clusters)),
        "ari": float(adjusted_rand_score(labels, clusters)),
    }


def largest_confusions(table: np.ndarray, count: int = 5) -> list[dict[str, int]]:
    """The largest entries off the diagonal of a confusion matrix, in falling order.

    Args:
        table: int (K, K), rows the true class, columns the class it was taken for.
        count: at most so many; zeros are left out.

    Returns:
        ``{"true", "taken_for", "count"}`` each.
    """
    wrong = table - np.diag(np.diag(table))
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    places = [np.unravel_index(i, table.shape) for i in order]
    return [
        {"true": int(row), "taken_for": int(column), "count": int(wrong[row, column])}
        for row, column in places
        if wrong[row, column]
    ]


# --------------------------------------------------------------------------- samples against real images


def background(images: np.ndarray) -> dict[str, float]:
    """How black the black is.

    Args:
        images: uint8 (N, 1, 28, 28).

    Returns:
        ``frame_ink``: share of the pixels of the outermost two-pixel frame above 8;
        ``darkest_decile``: mean, 0..255, of the darkest tenth of each image's pixels;
        ``black_share``: share of all pixels that are exactly 0;
        ``veil_share``: share of all pixels from 1 to 8, which real images hardly have.
    """
    frame = np.ones(images.shape[-2:], dtype=bool)
    frame[2:-2, 2:-2] = False
    rows = np.sort(images.reshape(len(images), -1), axis=1)
    return {
        "frame_ink": float((images[..., frame] > 8).mean()),
        "darkest_decile": float(rows[:, : rows.shape[1] // 10].mean()),
        "black_share": float((images == 0).mean()),
        "veil_share": float(((images > 0) & (images <= 8)).mean()),
    }


def nearest_images(queries: np.ndarray, images: np.ndarray, block: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of ``images`` to each query, by Euclidean distance of the pixels.

    Args:
        queries: uint8 (N, 1, 28, 28).
        images: uint8 (M, 1, 28, 28).
        block: queries at a time; bounds the memory at ``4 M block`` bytes.

    Returns:
        int64 (N,), indices into ``images``; float64 (N,), distances with pixels in [0, 1].
    """
    table = images.reshape(len(images), -1).astype(np.float32) / 255
    rows = queries.reshape(len(queries), -1).astype(np.float32) / 255
    squares = np.einsum("ij,ij->i", table, table)
    index = np.concatenate(
        [(squares - 2 * rows[i : i + block] @ table.T).argmin(axis=1) for i in range(0, len(rows), block)]
    )
    # The distance itself is taken from the difference: the expanded square above loses digits near 0.
    return index, np.linalg.norm((rows - table[index]).astype(np.float64), axis=1)


def pixel_mse(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared difference per pixel, both real and of one shape, pixels in [0, 1]."""
    return float(np.mean((np.asarray(a, dtype=np.float64) - b) ** 2))
