"""The scores against scikit-learn, brute force and arithmetic by hand, and the rules of question 6."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, davies_bouldin_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

from grading import scores
from hi_mnist import runs
from hi_mnist.cli import LabError
from hi_mnist.data import DataSet
from hi_mnist.runs import SavedRun, TrainConfig


def run(K: int = 10, use_pca: bool = True) -> SavedRun:
    config = TrainConfig(use_pca=use_pca, n_components=K, dataset="digits")
    return SavedRun(Path("run"), config, np.zeros((K, 2)), np.stack([np.eye(2)] * K), np.full(K, 1 / K))


def even(K: int = 10, each: int = 50) -> np.ndarray:
    return np.repeat(np.arange(K), each)


# --------------------------------------------------------------------------- agreement with the digits


def test_matched_accuracy_is_that_of_the_best_renaming():
    rng = np.random.default_rng(0)
    for n_labels, n_clusters in ((5, 5), (5, 3), (3, 5), (1, 4), (4, 1)):
        labels, clusters = rng.integers(0, n_labels, 200), rng.integers(0, n_clusters, 200)
        renamings = permutations(range(max(n_labels, n_clusters)))
        expected = max((np.array(names)[clusters] == labels).mean() for names in renamings)
        assert scores.matched_accuracy(labels, clusters) == pytest.approx(expected), (n_labels, n_clusters)


def test_agreement_equals_scikit_learn_and_does_not_mind_the_numbering():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 500)
    clusters = np.where(rng.random(500) < 0.7, labels, rng.integers(0, 10, 500))
    got = scores.agreement(labels, clusters)
    assert got["nmi"] == pytest.approx(normalized_mutual_info_score(labels, clusters))
    assert got["ari"] == pytest.approx(adjusted_rand_score(labels, clusters))
    assert all(type(value) is float for value in got.values())
    assert scores.agreement(labels, rng.permutation(10)[clusters] * 7 + 3) == pytest.approx(got)
    assert scores.agreement(labels, (labels + 3) % 10) == pytest.approx({"accuracy": 1, "nmi": 1, "ari": 1})


# --------------------------------------------------------------------------- Davies-Bouldin


def test_davies_bouldin_by_hand():
    images = np.zeros((4, 1, 28, 28), np.uint8)
    images[:, 0, 3, 5] = [0, 2, 10, 12]  # centres 1 and 11, spreads 1 and 1: (1 + 1) / 10
    assert scores.davies_bouldin(images, np.array([0, 0, 1, 1])) == pytest.approx(0.2)


def test_davies_bouldin_is_none_where_it_is_not_defined(digits):
    for clusters in (np.zeros(6, int), np.arange(6)):  # one cluster, as many as images
        assert scores.davies_bouldin(digits["test"].images[:6], clusters) is None


# --------------------------------------------------------------------------- the baseline


def test_baseline_is_scikit_learn_with_the_staffs_settings(digits, empty_cache):
    images = digits["test"].images
    train, test = images[:200], images[200:]
    rows, test_rows = (each.reshape(len(each), 784).astype(float) for each in (train, test))
    pca = PCA(3, svd_solver="full").fit(rows)
    gmm = GaussianMixture(10, max_iter=100, random_state=123).fit(pca.transform(rows))
    expected = davies_bouldin_score(test_rows, gmm.predict(pca.transform(test_rows)))
    assert scores.baseline_davies_bouldin("digits", 3, train, test) == pytest.approx(expected, rel=1e-6)


@pytest.fixture
def fits(empty_cache, monkeypatch) -> list[tuple]:
    """The shapes of the codes that the mixture was fitted to; a quick class replaces it and the PCA."""
    fits = []

    class Quick:
        def __init__(self, d, **_):
            self.d = d

        def fit(self, rows):
            if rows.shape[1] < 784:  # it is the mixture
                fits.append(rows.shape)
            return self

        def transform(self, rows):
            return rows[:, : self.d]

        def predict(self, codes):
            return np.arange(len(codes)) % codes.shape[1]

    monkeypatch.setattr(scores, "GaussianMixture", Quick)
    monkeypatch.setattr(scores, "PCA", Quick)
    return fits


def test_baseline_is_computed_once_for_each_dimension_and_data(digits, fits):
    images = digits["test"].images[:60]
    asked = [(4, images[:40]), (3, images[:40]), (4, images[:30])]
    first = [scores.baseline_davies_bouldin("digits", d, train, images[40:]) for d, train in asked]
    again = [scores.baseline_davies_bouldin("digits", d, train, images[40:]) for d, train in asked]
    assert first == again and first[0] != first[1]
    assert fits == [(40, 4), (40, 3), (30, 4)]


def test_a_baseline_that_cannot_be_is_computed_again(digits, fits, empty_cache, monkeypatch):
    images = digits["test"].images[:60]

    def baseline(d: int = 4) -> float:
        return scores.baseline_davies_bouldin("digits", d, images[:40], images[40:])

    right = baseline()
    (path,) = empty_cache.iterdir()
    kept = load_file(path)
    assert float(kept["db"]) == right
    save_file({"db": kept["db"].astype(np.float32)}, path)
    assert baseline() == right
    for wrong in (0.0, -2.0, np.nan, np.inf, 1e6, [right]):
        save_file({"db": np.array(wrong)}, path)
        assert baseline() == right, wrong
    assert len(fits) == 8 and baseline() == right and len(fits) == 8
    for library in (scores.np, scores.scipy, scores.sklearn):
        fits.clear()
        monkeypatch.setattr(library, "__version__", "0.0")
        assert baseline() == right and len(fits) == 1, library
    monkeypatch.setattr(scores, "davies_bouldin", lambda *_: 1e6)
    with pytest.raises(LabError, match="1000000"):
        baseline(5)


# --------------------------------------------------------------------------- 6 Performance


def test_performance_follows_the_formula_up_to_all_points():
    for db, points in ((2000.0, 0.03), (4.0, 15.0), (3.0, 20.0), (2.5, 24.0), (2.0, 30.0), (1.0, 30.0), (1e-300, 30.0)):
        entry = scores.score_performance(run(), db, 2.0, even())
        assert (entry["id"], entry["points"], entry["verdict"]) == ("performance", 30, "PASS")
        assert entry["score"] == pytest.approx(points)
        assert bool(entry["hint"]) == (points < 30)


def test_what_may_be_a_trick_is_for_a_person_to_review():
    singletons = np.zeros(10_000, int)
    singletons[:9] = np.arange(1, 10)  # and one big cluster: a low index for no clustering at all
    for K, clusters, cause in (
        (9, even(9), "K = 9 instead of 10"),
        (11, even(11), "K = 11 instead of 10"),
        (10, even(9), "1 of 10 clusters hold no test image"),
        (10, even(8), "2 of 10 clusters hold no test image"),
        (10, np.append(np.repeat(np.arange(9), 100), [9] * 4), "cluster 9 holds only 4 of 904 test images"),
        (10, np.zeros(500, int), "9 of 10 clusters hold no test image"),
        (10, singletons, "holds only 1 of 10000 test images"),
    ):
        entry = scores.score_performance(run(K), None if len(set(clusters)) == 1 else 0.65, 2.98, clusters)
        assert (entry["verdict"], entry["score"]) == ("REVIEW", 0), cause
        assert cause in entry["message"]
    large_enough = np.append(np.repeat(np.arange(9), 100), [9] * 5)  # 5 of 905: 0.55 %
    assert scores.score_performance(run(), 2.0, 2.0, large_enough)["verdict"] == "PASS"


def test_ae_runs_are_neither_scored_nor_asked_for_their_cluster():
    ae = run(use_pca=False)
    for entry in (scores.score_performance(ae, 2.0, None, even()), scores.score_index(ae, 3, images=None)):
        assert (entry["verdict"], entry["score"]) == ("SKIPPED", 0)


# --------------------------------------------------------------------------- 6 the cluster of "6"


def answer(counts: dict[int, dict[int, int]], k: int | None) -> dict:
    """Score the answer ``k`` if cluster c holds ``counts[c][digit]`` images of each digit."""
    pairs = [(digit, c) for c, held in counts.items() for digit, n in held.items() for _ in range(n)]
    labels, clusters = np.array(pairs).T
    # One pixel determines the cluster, so that a run of four distant components finds it.
    images = np.zeros((len(labels), 1, 28, 28), np.uint8)
    images[:, 0, 0, 0] = 50 * clusters
    asked = run(K=4)
    asked.components, asked.mean = np.eye(2, 784), np.zeros(784)
    asked.means = np.column_stack([50.0 * np.arange(4), np.zeros(4)])
    return scores.score_index(asked, k, DataSet(images, labels, images, labels))


MAJORITY = {0: {6: 10, 5: 3}, 1: {6: 4, 0: 90}, 2: {3: 7}}
MINORITY = {0: {6: 10, 5: 30}, 1: {6: 14, 0: 90}, 2: {6: 1, 3: 7}}
TWO = {0: {6: 10, 5: 3}, 1: {6: 40, 0: 9}, 2: {6: 1, 3: 7}}


def test_the_right_clusters_pass_and_no_others():
    for counts, right in (
        (MAJORITY, {0}),
        (MINORITY, {1}),  # no cluster has mostly sixes: the one that holds most of them
        (TWO, {0, 1}),
        ({0: {5: 4, 6: 4}, 1: {6: 1, 7: 2}}, {0}),  # as many fives as sixes: six is a most frequent digit
        ({0: {6: 2, 0: 3}, 1: {6: 2, 1: 3}}, {0, 1}),  # two clusters hold most sixes
    ):
        for k in range(4):
            entry = answer(counts, k)
            expected = ("PASS", 5.0) if k in right else ("WRONG", 0.0)
            assert (entry["verdict"], entry["score"]) == expected, f"{counts}, cluster {k}"
            assert bool(entry["hint"]) != (k in right)


def test_messages_tell_what_the_cluster_holds_but_not_the_right_one():
    assert "10 sixes among its 13" in answer(MAJORITY, 0)["message"]
    assert "empty" in answer(MAJORITY, 3)["message"]
    entry = answer(MAJORITY, 1)
    assert "most frequent digit is 0" in entry["message"]
    assert "cluster 0" not in entry["message"] + entry["hint"]
    entry = answer({2: {6: 10, 5: 3}}, 2)  # all images in one
    assert (entry["verdict"], entry["score"]) == ("WRONG", 0.0)
    assert "none to choose" in entry["message"] and entry["hint"]
    entry = answer(MAJORITY, None)
    assert (entry["verdict"], entry["score"]) == ("SKIPPED", 0)
    assert "--sample_index" in entry["message"] and "cluster_" in entry["message"]


# --------------------------------------------------------------------------- the whole record


KEYS = {
    "questions", "auto_score", "auto_points", "sample_index", "config", "db", "db_sklearn", "accuracy", "nmi", "ari",
    "log_likelihood", "dataset", "guards", "versions",
}  # fmt: skip


def test_the_record_has_the_fields_that_others_read(trained_run, digits, code_unchecked):
    report = scores.grade(runs.load_run(trained_run), b"")
    assert set(report) >= KEYS
    assert [q["id"] for q in report["questions"]] == [
        "e_step", "m_step", "pca_fit", "sample_from_gmm", "sample_index", "performance",
    ]  # fmt: skip
    assert [q["points"] for q in report["questions"]] == [10, 10, 8, 7, 5, 30]
    for q in report["questions"]:
        assert set(q) == {"id", "label", "points", "score", "verdict", "message", "hint"}
    assert report["auto_points"] == 70
    assert report["auto_score"] == pytest.approx(sum(q["score"] for q in report["questions"]), abs=1e-4)
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_the_record_is_computed_from_the_saved_parameters(trained_run, digits, monkeypatch, code_unchecked):
    import submission

    monkeypatch.setattr(submission.GMM, "predict", None)  # the student's code is not asked
    monkeypatch.setattr(submission.PCA, "transform", None)
    saved = runs.load_run(trained_run)
    report = scores.grade(saved, b"")
    test = digits["test"]
    Z = (test.images.reshape(-1, 784) - saved.mean) @ saved.components.T
    theirs = GaussianMixture(10)
    theirs.weights_, theirs.means_ = saved.pi, saved.means
    theirs.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(saved.covs))
    clusters = theirs.predict(Z)
    assert report["db"] == pytest.approx(davies_bouldin_score(test.images.reshape(-1, 784).astype(float), clusters))
    assert report["log_likelihood"] == pytest.approx(theirs.score(Z), rel=1e-9)
    assert report["ari"] == pytest.approx(adjusted_rand_score(test.labels, clusters))
