"""How good a clustering is, and what the lab gives for it.

Everything is computed from a run's saved parameters and scikit-learn's own objects, never by the student's ``predict``.
"""

import hashlib
import json
import warnings

import numpy as np
import sklearn
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, davies_bouldin_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.mixture import GaussianMixture

from grading.checks import ASKED_DIGIT, question
from hi_mnist import data, files
from hi_mnist.data import N_CLASSES
from hi_mnist.runs import SavedRun

PERFORMANCE_POINTS = 30
SAMPLE_INDEX_POINTS = 5
SMALLEST_CLUSTER = 0.005  # share of the test images below which a cluster looks like a trick
BASELINE = {"n_components": 10, "max_iter": 100, "seed": 123}


def matched_accuracy(labels: np.ndarray, clusters: np.ndarray) -> float:
    """Share of samples whose cluster is the partner of their label, for the best one-to-one partnership.

    Args:
        labels: int (N,), the truth.
        clusters: int (N,), any numbering, any number of clusters.
    """
    table = contingency_matrix(labels, clusters)
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / len(labels))


def agreement(labels: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """``accuracy``, ``nmi`` and ``ari`` of clusters against the true labels, both int (N,)."""
    return {
        "accuracy": matched_accuracy(labels, clusters),
        "nmi": float(normalized_mutual_info_score(labels, clusters)),
        "ari": float(adjusted_rand_score(labels, clusters)),
    }


def davies_bouldin(images: np.ndarray, clusters: np.ndarray) -> float | None:
    """Davies-Bouldin index in pixel space (lower is better); None where it is not defined.

    Args:
        images: uint8 (N, 1, 28, 28).
        clusters: int (N,).
    """
    if not 2 <= len(np.unique(clusters)) < len(clusters):
        return None
    return float(davies_bouldin_score(data.flatten(images).astype(np.float64), clusters))


def baseline_davies_bouldin(dataset: str, embedding_dim: int, train: np.ndarray, test: np.ndarray) -> float:
    """The index that scikit-learn reaches: PCA and a GaussianMixture with the settings in ``BASELINE``.

    Args:
        dataset: the prepared data set; with the images' hash it keys the cache.
        embedding_dim: d of the run.
        train, test: uint8 (N, 1, 28, 28).
    """
    key = json.dumps([dataset, files.data_hash(train, test), embedding_dim, BASELINE, sklearn.__version__])
    path = files.cache_dir() / f"baseline-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    try:
        db = float(json.loads(path.read_text(encoding="utf-8"))["db"])
        if 0 < db < np.inf:
            return db
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or damaged: compute it
    pca = PCA(embedding_dim, svd_solver="covariance_eigh").fit(data.flatten(train).astype(np.float64))
    gmm = GaussianMixture(BASELINE["n_components"], max_iter=BASELINE["max_iter"], random_state=BASELINE["seed"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 100 iterations are the rule, converged or not
        gmm.fit(pca.transform(data.flatten(train).astype(np.float64)))
    db = davies_bouldin(test, gmm.predict(pca.transform(data.flatten(test).astype(np.float64))))
    files.write_text(path, json.dumps({"db": db, "key": json.loads(key)}, indent=2) + "\n")
    return db


def performance(run: SavedRun, db: float | None, db_sklearn: float | None, clusters: np.ndarray) -> dict:
    """Question 6, Performance: 30 points times DB_sklearn / DB_yours, clipped to [0, 30]; PCA runs only.

    Args:
        run: the run.
        db, db_sklearn: Davies-Bouldin of the run and of the baseline on the test images.
        clusters: the run's clusters of the test images, int (N,).
    """
    entry = question("performance", "6 Performance", PERFORMANCE_POINTS)
    if not run.config.use_pca:
        message = "only PCA runs count for Performance; the AutoEncoder's figures are shown for comparison"
        return entry | {"verdict": "SKIPPED", "message": message}
    sizes = np.bincount(clusters, minlength=run.n_components)
    odd = None
    if run.n_components != BASELINE["n_components"]:
        odd = f"the run has K = {run.n_components} instead of 10"
    elif (sizes == 0).any():
        odd = f"{(sizes == 0).sum()} of {run.n_components} clusters hold no test image"
    elif sizes.min() < SMALLEST_CLUSTER * len(clusters):
        odd = f"cluster {sizes.argmin()} holds only {sizes.min()} of {len(clusters)} test images"
    points = 0.0 if db is None else float(np.clip(PERFORMANCE_POINTS * db_sklearn / db, 0, PERFORMANCE_POINTS))
    if odd:
        message = f"{odd}; the formula gives {points:.2f}, and a person decides"
        mended_by = "--n_components 10" if run.n_components != BASELINE["n_components"] else "another --seed"
        return entry | {"verdict": "REVIEW", "message": message, "hint": f"train again with {mended_by}"}
    message = f"Davies-Bouldin {db:.4f}, scikit-learn's {db_sklearn:.4f}: 30 * {db_sklearn:.4f} / {db:.4f}"
    hint = (
        ""
        if points > PERFORMANCE_POINTS - 0.05
        else "a lower index scores more: try other values of --embedding_dim, --seed and --max_iter"
    )
    verdict = "PASS" if points > 0 else "WRONG"  # a figure between has its points for a verdict
    return entry | {"score": points, "verdict": verdict, "message": message, "hint": hint}


def sample_index(
    run: SavedRun, k: int | None, labels: np.ndarray, clusters: np.ndarray, digit: int = ASKED_DIGIT
) -> dict:
    """Question 6, the cluster of "6": its most frequent true digit is 6.

    Where no cluster has that, the one that holds most sixes is right.

    Args:
        run: the run.
        k: the student's answer; None when none was given.
        labels, clusters: true digit and cluster of the training images, int (N,): what the pictures show.
        digit: the digit that is asked for.
    """
    entry = question("sample_index", f'6 the cluster of "{digit}"', SAMPLE_INDEX_POINTS)
    if not run.config.use_pca:
        return entry | {"verdict": "SKIPPED", "message": "only PCA runs are asked for their cluster"}
    if k is None:
        message = (
            f"no --sample_index given: compare true_*.png with cluster_*.png, find the cluster that lies where the "
            f"digit {digit} lies, and pass its number"
        )
        return entry | {"verdict": "SKIPPED", "message": message}
    table = np.zeros((N_CLASSES, run.n_components), dtype=np.int64)
    np.add.at(table, (labels, clusters), 1)
    of_digit = np.flatnonzero((table[digit] == table.max(axis=0)) & (table[digit] > 0))
    right = of_digit if len(of_digit) else np.flatnonzero(table[digit] == table[digit].max())
    total = int(table[:, k].sum())
    if np.count_nonzero(table.sum(axis=0)) < 2:
        message = "all images lie in one cluster: there is none to choose"
        return entry | {"verdict": "WRONG", "message": message, "hint": "train with --n_components 10"}
    if k in right:
        message = f"cluster {k} holds {table[digit, k]} sixes among its {total} training images"
        return entry | {"score": float(SAMPLE_INDEX_POINTS), "verdict": "PASS", "message": message}
    most = f"its most frequent digit is {table[:, k].argmax()}" if total else "it is empty"
    hint = "look where the 6 lies in true_tsne.png, and which number stands there in cluster_tsne.png"
    return entry | {"verdict": "WRONG", "message": f"cluster {k} is not the one: {most}", "hint": hint}
