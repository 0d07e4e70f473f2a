"""Performance counts only if the handed-in code reproduces it."""

import numpy as np
import pytest

from grading import sandbox, scores, worker
from hi_mnist import data, runs
from hi_mnist.files import ROOT
from hi_mnist.runs import SavedRun
from staff import rerun

SOURCE = (ROOT / "submission.py").read_bytes()


@pytest.fixture(scope="module")
def images(standin) -> data.DataSet:
    return data.load_data_set("digits")


@pytest.fixture(scope="module")
def saved(trained_run, images) -> tuple[SavedRun, float]:
    """A run of the solution on the stand-in, and its Davies-Bouldin index."""
    run = runs.load_run(trained_run)
    return run, scores.davies_bouldin(images.test, runs.cluster_labels(run, images.test))


@pytest.fixture
def reproduce(saved, images):
    """``reproduce(source, factor=1)``: with the run's index taken ``factor`` times, by real children or by ``run``."""

    def call(source: bytes = SOURCE, factor: float = 1.0, **options) -> rerun.Reproduction:
        return rerun.reproduce(source, saved[0].config, factor * saved[1], images, **options)

    return call


class Children:
    """Replaces the sandbox: returns an outcome for each mode and records the calls."""

    def __init__(self, own: sandbox.Outcome, steps: sandbox.Outcome):
        self.outcomes, self.asked = {"own": own, "steps": steps}, []

    def __call__(self, task, source, inputs, *, settings, files, limits):
        assert (task, source) == ("fit", SOURCE)
        self.asked.append((settings, files, limits, inputs))
        return self.outcomes[settings["mode"]]


@pytest.fixture
def good(saved) -> sandbox.Outcome:
    run, _ = saved
    names = ("means", "covs", "pi", "components", "mean")
    return sandbox.Outcome("done", arrays={name: getattr(run, name) for name in names})


def failed(status: str = "timeout") -> sandbox.Outcome:
    return sandbox.Outcome(status, cause="it used more than 300 s")


def test_child_gets_the_runs_own_settings_and_generous_limits(reproduce, good, saved):
    children = Children(good, failed())
    again = reproduce(run=children)
    assert (again.way, len(again.attempts)) == ("own", 1)
    ((settings, files, limits, inputs),) = children.asked
    config = saved[0].config
    assert settings == {
        "mode": "own", "n_components": 10, "max_iter": config.max_iter, "seed": config.seed, "embedding_dim": 10,
    }  # fmt: skip
    assert files == {}
    assert (limits.cpu_seconds, limits.memory) == (300, 6 * 2**30)
    assert (inputs["images"].dtype, inputs["images"].shape[1]) == (np.uint8, 784)


def test_a_fit_with_a_signature_of_its_own_repeats_its_run(digits):
    """The original lab's fit takes no seed: its train.py seeded NumPy's generator."""
    rows = digits["train"].images[:300].reshape(300, 784)
    settings = {"mode": "own", "n_components": 4, "max_iter": 3, "seed": 7, "embedding_dim": 5}
    for signature in ("X, max_iter", "X, max_iter=100, tol=1e-3", "X", "X, **options", "X, max_iter, seed"):
        body = f"given = GMM.fit\ndef fit(self, {signature}): given(self, X, 3)\nGMM.fit = fit\n"
        module = worker.load(SOURCE + body.encode())
        np.random.seed(7)  # as the original did, after its imports
        pca, gmm = module.PCA(5), module.GMM(4, 5)
        pca.fit(rows)
        module.given(gmm, pca.transform(rows), 3)
        again = worker.answer("fit", module, {"images": rows}, settings)
        assert np.array_equal(again["means"], gmm.means), signature


def test_two_percent_are_allowed(reproduce, good):
    for factor, way in ((1 / 1.019, "own"), (1.019, "own"), (1 / 1.03, None), (1.03, None)):
        assert reproduce(factor=factor, run=Children(good, good)).way == way, factor


def test_steps_are_tried_where_the_own_fit_fails(reproduce, good):
    children = Children(failed(), good)
    again = reproduce(run=children)
    assert again.way == "steps"
    assert again.attempts[0]["result"] == "it used more than 300 s"
    skeleton = children.asked[1][1]["given.py"]
    assert b"raise NotImplementedError" in skeleton and b"def fit(" in skeleton


def test_neither_leaves_all_the_numbers(reproduce, good):
    error = {"kind": "exception", "type": "ValueError", "text": "bad\nworse", "line": 7, "trace": ""}
    again = reproduce(factor=2, run=Children(sandbox.Outcome("raised", error=error), good))
    assert again.way is None and not again.our_fault
    assert again.sentence().startswith("the handed-in fit: ValueError, line 7: bad; its E-step and M-step under")
    assert "Davies-Bouldin" in again.sentence()


def test_a_child_that_did_not_start_is_our_fault(reproduce):
    again = reproduce(run=Children(failed("internal"), failed("internal")))
    assert (again.way, again.our_fault, len(again.attempts)) == (None, True, 1)


def test_what_is_not_a_mixture_is_a_cause_in_one_line(reproduce, good):
    for changes, cause in (
        ({"pi": np.full(10, 0.2)}, "sum to 1"),
        ({"pi": np.full(9, 1 / 9)}, "shape"),
        ({"means": np.full((10, 10), np.nan)}, "NaN"),
        ({"covs": -np.stack([np.eye(10)] * 10)}, "positive definite"),
        ({"mean": np.zeros(784, complex)}, "complex"),
        ({"components": None}, "no components"),
    ):
        arrays = {name: array for name, array in (good.arrays | changes).items() if array is not None}
        again = reproduce(run=Children(sandbox.Outcome("done", arrays=arrays), failed()))
        result = again.attempts[0]["result"]
        assert cause in result and "\n" not in result and "lab-rerun" not in result


def test_the_solution_reproduces_itself_and_a_changed_fit_is_restored(reproduce):
    again = reproduce()
    assert again.way == "own"
    assert again.attempts[0]["result"].startswith("Davies-Bouldin")
    changed = SOURCE + b"\n\ndef my_fit(self, X, **options):\n    raise RuntimeError('my fit')\n\n\nGMM.fit = my_fit\n"
    again = reproduce(changed)
    assert again.attempts[0]["result"].startswith("RuntimeError, line")
    assert again.attempts[1]["result"].startswith("Davies-Bouldin")
    assert again.way == "steps"
