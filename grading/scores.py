"""Measure clusterings, and turn the measures into points.

Scores are computed from a run's saved parameters by scikit-learn, never by the student's ``predict``.
"""

import dataclasses
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy
import sklearn
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, davies_bouldin_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.mixture import GaussianMixture

from grading import checks, table
from grading.checks import ASKED_DIGIT
from grading.questions.common import question
from hi_mnist import data, files, runs
from hi_mnist.cli import LabError
from hi_mnist.data import N_CLASSES, DataSet
from hi_mnist.runs import SavedRun

PERFORMANCE_POINTS = 30
SAMPLE_INDEX_POINTS = 5
SMALLEST_CLUSTER = 0.005  # share of the test images; a smaller cluster needs a review
FIGURES = {  # key in grade.json: label
    "db": "Davies-Bouldin (784 pixels, lower is better)",
    "db_sklearn": "Davies-Bouldin of scikit-learn",
    "accuracy": "accuracy (clusters matched to digits)",
    "nmi": "normalised mutual information",
    "ari": "adjusted Rand index",
    "log_likelihood": "mean log-likelihood",
}
# Labels drawn by chance give about sqrt(2 N / K), 45 on 10,000 test images; nothing that was fitted comes near this.
LARGEST_DB = 100.0
BASELINE = {"n_components": 10, "max_iter": 100, "seed": 123}


def matched_accuracy(labels: np.ndarray, clusters: np.ndarray) -> float:
    """Share of samples whose cluster, of any number, is matched to their label, both int (N,), one to one at best."""
    table = contingency_matrix(labels, clusters)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(labels))


def agreement(labels: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """``accuracy``, ``nmi`` and ``ari`` of clusters against the true labels, both int (N,)."""
    return {
        "accuracy": matched_accuracy(labels, clusters),
        "nmi": float(normalized_mutual_info_score(labels, clusters)),
        "ari": float(adjusted_rand_score(labels, clusters)),
    }


def davies_bouldin(images: np.ndarray, clusters: np.ndarray) -> float | None:
    """Davies-Bouldin index of images uint8 (N, 1, 28, 28) by clusters int (N,), in pixel space; None if undefined."""
    if not 2 <= len(np.unique(clusters)) < len(clusters):
        return None
    return float(davies_bouldin_score(data.flatten(images).astype(np.float64), clusters))


def baseline_davies_bouldin(dataset: str, embedding_dim: int, train: np.ndarray, test: np.ndarray) -> float:
    """The index of scikit-learn's PCA and GaussianMixture with the settings in ``BASELINE``, kept in the cache.

    ``train`` and ``test`` are uint8 (N, 1, 28, 28), those of the named data set. Raises LabError where the libraries
    give a figure that cannot be.
    """

    def compute():
        rows, test_rows = (data.flatten(images).astype(np.float64) for images in (train, test))
        pca = PCA(embedding_dim, svd_solver="covariance_eigh").fit(rows)
        gmm = GaussianMixture(BASELINE["n_components"], max_iter=BASELINE["max_iter"], random_state=BASELINE["seed"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 100 iterations are the rule, converged or not
            gmm.fit(pca.transform(rows))
        return {"db": np.array(davies_bouldin(test, gmm.predict(pca.transform(test_rows))))}

    def possible(found):
        return found["db"].dtype == np.float64 and 0 < found["db"] < LARGEST_DB

    versions = [library.__version__ for library in (sklearn, np, scipy)]
    depends_on = [dataset, files.data_hash(train, test), embedding_dim, BASELINE, versions]
    found = files.cached("baseline", depends_on, {"db": ()}, compute, possible)
    if not possible(found):
        raise LabError(f"scikit-learn's Davies-Bouldin index came out as {found['db']}; install requirements.lock anew")
    return float(found["db"])


def score_run(run: SavedRun, images: DataSet | None = None, sample_index: int | None = None) -> dict:
    """The part of grade.json that a run's saved parameters decide.

    ``images`` are the run's data set, which is prepared; None reads it. ``sample_index`` is the answer to question 6.
    """
    dataset, d = run.config.dataset, run.config.embedding_dim
    images = images or data.load_data_set(dataset)
    mixture, codes = runs.mixture(run), runs.embed(run, images.test)
    clusters = mixture.predict(codes)
    db = davies_bouldin(images.test, clusters)
    baseline = baseline_davies_bouldin(dataset, d, images.train, images.test) if run.config.use_pca else None
    return {
        "questions": [score_index(run, sample_index, images), score_performance(run, db, baseline, clusters)],
        "sample_index": sample_index,
        "config": dataclasses.asdict(run.config),
        "db": db,
        "db_sklearn": baseline,
        **agreement(images.test_labels, clusters),
        "log_likelihood": float(mixture.score(codes)),
        "dataset": dataset,
    }


def grade(run: SavedRun, source: bytes, sample_index: int | None = None) -> dict:
    """The content of ``grade.json``: child processes check the code while this one scores the run (``score_run``)."""
    with ThreadPoolExecutor(1) as pool:
        code = pool.submit(checks.check_code, source)
        scored = score_run(run, sample_index=sample_index)
        questions = code.result()
    return scored | table.summary(questions + scored["questions"])


def score_performance(run: SavedRun, db: float | None, db_sklearn: float | None, clusters: np.ndarray) -> dict:
    """Question 6, Performance: 30 * DB_sklearn / DB_yours, at most 30; ``clusters``, int (N,), of the test images."""
    entry = question("performance", "6 Performance", PERFORMANCE_POINTS)
    if not run.config.use_pca:
        message = "only PCA runs count for Performance; the AutoEncoder's figures are shown for comparison"
        return entry | {"verdict": "SKIPPED", "message": message}
    sizes = np.bincount(clusters, minlength=run.n_components)
    odd, remedy = None, "another --seed"
    if run.n_components != BASELINE["n_components"]:
        odd, remedy = f"the run has K = {run.n_components} instead of 10", "--n_components 10"
    elif (sizes == 0).any():
        odd = f"{(sizes == 0).sum()} of {run.n_components} clusters hold no test image"
    elif sizes.min() < SMALLEST_CLUSTER * len(clusters):
        odd = f"cluster {sizes.argmin()} holds only {sizes.min()} of {len(clusters)} test images"
    points = 0.0 if db is None else float(np.clip(PERFORMANCE_POINTS * db_sklearn / db, 0, PERFORMANCE_POINTS))
    if odd:
        message = f"{odd}; the formula gives {points:.2f}, and a person decides"
        return entry | {"verdict": "REVIEW", "message": message, "hint": f"train again with {remedy}"}
    message = f"Davies-Bouldin {db:.4f}, scikit-learn's {db_sklearn:.4f}: 30 * {db_sklearn:.4f} / {db:.4f}"
    hint = "a lower index scores more: try other values of --embedding_dim, --seed and --max_iter"
    entry |= {"score": points, "verdict": "PASS" if points > 0 else "WRONG", "message": message}
    return entry | ({"hint": hint} if points <= PERFORMANCE_POINTS - 0.05 else {})


def score_index(run: SavedRun, k: int | None, images: DataSet) -> dict:
    """Question 6: right if the most frequent true digit of cluster ``k``, any number or None, is 6.

    If no cluster qualifies, the one with the most sixes is right. The training images decide: the pictures show them.
    """
    entry = question("sample_index", f'6 the cluster of "{ASKED_DIGIT}"', SAMPLE_INDEX_POINTS)
    if not run.config.use_pca:
        return entry | {"verdict": "SKIPPED", "message": "only PCA runs are asked for their cluster"}
    if k is None:
        message = "no --sample_index given: compare true_*.png with cluster_*.png and pass the number of the cluster"
        return entry | {"verdict": "SKIPPED", "message": f"{message} where the digit {ASKED_DIGIT} is"}
    if not 0 <= k < run.n_components:
        told = f"there is no cluster {k}: they are numbered 0 to {run.n_components - 1}"
        return entry | {"verdict": "WRONG", "message": told}
    held = count_labels(images.train_labels, runs.cluster_labels(run, images.train), run.n_components)
    sixes = held[:, ASKED_DIGIT]
    mostly = np.flatnonzero((sixes == held.max(axis=1)) & (sixes > 0))
    right = mostly if len(mostly) else np.flatnonzero(sixes == sixes.max())
    total = int(held[k].sum())
    if np.count_nonzero(held.sum(axis=1)) < 2:
        message = "all images lie in one cluster: there is none to choose"
        return entry | {"verdict": "WRONG", "message": message, "hint": "train with --n_components 10"}
    if k in right:
        message = f"cluster {k} holds {sixes[k]} sixes among its {total} training images"
        return entry | {"score": float(SAMPLE_INDEX_POINTS), "verdict": "PASS", "message": message}
    most = f"its most frequent digit is {held[k].argmax()}" if total else "it is empty"
    hint = "find the 6 in true_tsne.png, and the number at the same place in cluster_tsne.png"
    return entry | {"verdict": "WRONG", "message": f"cluster {k} is not the one: {most}", "hint": hint}


def count_labels(labels: np.ndarray, clusters: np.ndarray, n_components: int) -> np.ndarray:
    """The number of images of each true label, int (N,), in each cluster, int (N,): int64 (K, 10)."""
    held = np.zeros((n_components, N_CLASSES), dtype=np.int64)
    np.add.at(held, (clusters, labels), 1)
    return held
