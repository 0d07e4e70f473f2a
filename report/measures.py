"""What samples of digits are measured by, as pure functions of arrays: no network, no file, no printing.

    >>> from report.measures import frechet_distance
    >>> frechet_distance(features, features)
    0.0

``report.compare`` uses them with what a student has, ``benchmarks/`` with a trained judge.
Symbols: N samples, F features, K classes. Pixels are 0..255.
"""

import numpy as np
from scipy.spatial.distance import pdist


def agreement(asked: np.ndarray, judged: np.ndarray, k: int = 10) -> dict:
    """How often a sample shows the class that was asked for.

    Args:
        asked: int (N,), 0 to k - 1; every class occurs.
        judged: int (N,), what the judge saw.

    Returns:
        ``overall``, ``per_class`` (k shares), ``worst`` (the lowest of them).
    """
    right = asked == judged
    per_class = [float(right[asked == c].mean()) for c in range(k)]
    return {"overall": float(right.mean()), "per_class": per_class, "worst": min(per_class)}


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The Frechet distance of two sets of features, each taken for a Gaussian.

    d^2 = |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), in float64; the trace of the root is the sum of the
    roots of the eigenvalues of S_a^(1/2) S_b S_a^(1/2), which is symmetric, so no complex root can appear.
    Its expectation falls as the sets grow: compare only numbers that come from sets of equal sizes.

    Args:
        a: real (N, F), N >= 2.
        b: real (M, F), M >= 2.

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


def spread(x: np.ndarray) -> float:
    """Mean Euclidean distance of two different rows: real (N, F), N >= 2 -> float. Unbiased in N."""
    return float(pdist(np.asarray(x, dtype=np.float64)).mean())


def class_spreads(x: np.ndarray, labels: np.ndarray, k: int = 10) -> np.ndarray:
    """The spread within each class: real (N, F) and int (N,) -> float64 (k,). Each class has two rows or more."""
    return np.array([spread(x[labels == c]) for c in range(k)])


def diversity(x: np.ndarray, labels: np.ndarray, real_spreads: np.ndarray) -> np.ndarray:
    """The spread within each class relative to real images: 1 is as diverse as they, 0 one image again and again.

    Args:
        x: real (N, F), features or pixels of the samples.
        labels: int (N,), their classes, 0 to K - 1.
        real_spreads: float (K,), ``class_spreads`` of real images in the same features.

    Returns:
        float64 (K,).
    """
    return class_spreads(x, labels, len(real_spreads)) / real_spreads
