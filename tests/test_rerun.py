"""Performance counts only if the handed-in code reproduces it."""

import dataclasses
import textwrap

import numpy as np
import pytest

import sandbox
from grading import scores
from hi_mnist import data, runs
from hi_mnist.files import ROOT
from hi_mnist.runs import SavedRun
from sandbox import worker
from staff import refit, rerun

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

    def call(source: bytes = SOURCE, factor: float = 1.0, run: Children | None = None) -> rerun.Reproduction:
        with sandbox.Box(source) as box:
            return rerun.reproduce(run or box, saved[0].config, factor * saved[1], images)

    return call


class Children:
    """Replaces the sandbox: returns an outcome for each mode and for the probe, and records the calls."""

    def __init__(self, own: sandbox.Outcome, steps: sandbox.Outcome, probe: sandbox.Outcome | None = None):
        self.outcomes, self.asked = {"own": own, "steps": steps}, []
        self.probe = probe or sandbox.Outcome("done")

    def run(self, task, inputs, *, settings, files, limits):
        if task == "probe":
            return self.probe
        assert task == "fit"
        self.asked.append((settings, dict(files), limits, inputs))
        return self.outcomes[settings["mode"]]


@pytest.fixture
def good(saved) -> sandbox.Outcome:
    run, _ = saved
    names = ("means", "covs", "pi", "components", "mean")
    return sandbox.Outcome("done", arrays={name: getattr(run, name) for name in names})


def failed(status: str = "timeout") -> sandbox.Outcome:
    return sandbox.Outcome(status, cause="it used more than 300 s")


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
        again = worker.answer("fit", module, {"images": rows}, settings, refit.TASKS)
        assert np.array_equal(again["means"], gmm.means), signature


def test_the_own_fit_counts_within_two_percent_and_else_its_steps_under_the_labs(reproduce, good):
    error = {"kind": "exception", "type": "ValueError", "text": "bad\nworse", "line": 7, "trace": ""}
    raised = sandbox.Outcome("raised", error=error)
    for own, steps, factor, way, our_fault, said in (
        (good, failed(), 1 / 1.019, "own", False, "the handed-in fit: Davies-Bouldin"),
        (good, failed(), 1.019, "own", False, "the handed-in fit: Davies-Bouldin"),
        (good, good, 1 / 1.03, None, False, "Davies-Bouldin"),
        (good, good, 1.03, None, False, "Davies-Bouldin"),
        (failed(), good, 1, "steps", False, "the handed-in fit: it used more than 300 s; its E-step and M-step under"),
        (raised, good, 2, None, False, "the handed-in fit: ValueError, line 7: bad; its E-step and M-step under"),
        (failed("internal"), good, 1, None, True, "the handed-in fit: it used"),
    ):
        children = Children(own, steps)
        again = reproduce(factor=factor, run=children)
        assert (again.way, again.our_fault) == (way, our_fault), said
        assert said in again.sentence() and len(children.asked) == len(again.attempts)
        if len(children.asked) == 2:
            given = children.asked[1][1]["given.py"]
            assert b"raise NotImplementedError" in given and b"def fit(" in given


def test_what_is_not_a_mixture_is_a_cause_in_one_line(reproduce, good):
    for changes, cause in (
        ({"pi": np.full(10, 0.2)}, "sum to 1"),  # test_runs.py has more that cannot be loaded
        ({"pi": np.full(9, 1 / 9)}, "shape"),
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


# --------------------------------------------------------------------------- whose work a fit is

LOOP = """
from sklearn.cluster import KMeans
labels = KMeans(self.n_components, n_init=1, random_state={seed}).fit(X).labels_
{first}
for _ in range(max_iter):
    {step}
"""
START, START_ALONE = "self._m_step(X, np.eye(10)[labels])", "update(self, X, np.eye(10)[labels])"
PASTED = """logs = np.stack([log_gaussian(X, m, c) for m, c in zip(self.means, self.covs)], 1) + np.log(self.pi)
    gamma = np.exp(logs - logs.max(1, keepdims=True))
    update(self, X, gamma / gamma.sum(1, keepdims=True))"""
UPDATE = """
def update(self, X, gamma):
    self.pi, self.means = gamma.mean(0), gamma.T @ X / gamma.sum(0)[:, None]
    self.covs = np.array([np.cov(X.T, aweights=g, ddof=0) + 1e-6 * np.eye(X.shape[1]) for g in gamma.T])
"""
OTHER_NAMES = """
GMM.posterior, GMM.update = GMM._e_step, GMM._m_step
GMM.once = lambda self, X: self._m_step(X, self._e_step(X))
def start(self, k, d, old=GMM.__init__):
    old(self, k, d)
    self._e_step = self.posterior
GMM.__init__ = start
"""
CAUGHT = "try:\n        self._m_step(X, self._e_step(X))\n    except:\n        break"
HONEST = {  # with the way that is accepted
    "no seed": ("given(self, X, max_iter)", "own"),
    "fewer iterations than asked for": ("given(self, X, 1, seed=seed)", "own"),
    "more iterations than asked for": ("given(self, X, 30, seed=seed)", "own"),
    "helper methods": (LOOP.format(seed="seed", first=START, step="self.once(X)"), "own"),
    "other names": (LOOP.format(seed="seed", first=START, step="self.update(X, self.posterior(X))"), "own"),
    "a loop that catches all": (LOOP.format(seed="seed", first=START_ALONE, step=CAUGHT), "own"),
    "its steps written out": (LOOP.format(seed="seed", first=START_ALONE, step=PASTED), "steps"),
}
SET = "self.means, self.covs, self.pi = stored"
SKLEARN = """
from sklearn.mixture import GaussianMixture
found = GaussianMixture(self.n_components, max_iter=max_iter, {options}).fit(X)
self.means, self.covs, self.pi = found.means_, found.covariances_, found.weights_
"""
TRIED = "try:\n    self._e_step(X)\nexcept BaseException:\n    pass\n"
TRICKS = {
    "constants": (SET, rerun.CONSTANT),
    "constants after work": ("given(self, X, max_iter, seed=seed)\n" + SET, rerun.CONSTANT),
    "constants for as many images": (f"given(self, X, 2)\nif len(X) == 600:\n    {SET}", rerun.CONSTANT),
    "constants, unless there are few iterations": ("if max_iter < 4:\n    raise ValueError\n" + SET, rerun.CONSTANT),
    "constants, and a call": ("self._e_step(X)\nif max_iter < 4:\n    self.pi = 0 * X\n" + SET, rerun.CONSTANT),
    "constants for these images": ("if (X[:9] == X[300:309]).all():\n    raise ValueError\n" + SET, rerun.UNKNOWN),
    "constants, shaken": (SET + "\nself.means = self.means * (1 + 0.01 * np.sin(X[0]))", rerun.IDLE),
    "scikit-learn": (SKLEARN.format(options="random_state=seed + 1, init_params='random'"), rerun.BORROWED),
    "scikit-learn, as its own steps": (SKLEARN.format(options="random_state=seed"), rerun.BORROWED),
    "scikit-learn after a try": (TRIED + SKLEARN.format(options="random_state=seed"), rerun.BORROWED),
    "other steps pasted": (LOOP.format(seed="seed + 1", first=START_ALONE, step=PASTED), rerun.IDLE),
}


@pytest.fixture
def in_process(saved, images, one_blas_thread):
    """``in_process(body) -> Reproduction`` of the run that a ``fit`` with this body made, without a child."""
    few = images._replace(train=images.train[:600], train_labels=images.train_labels[:600])
    codes, labels = runs.embed(saved[0], few.train), few.train_labels
    parts = [codes[labels == digit] for digit in range(10)]
    covs = np.stack([np.cov(part.T) + np.eye(10) for part in parts])
    stored = np.stack([part.mean(axis=0) for part in parts]), covs, np.bincount(labels) / len(labels)

    class Box:
        def __init__(self, source: bytes):
            self.source = source

        def run(self, task, inputs, *, settings, files, limits=None):
            module = worker.load(self.source)
            module.stored = stored
            given = {name: np.frombuffer(content, np.uint8) for name, content in files.items()}
            try:
                arrays = worker.answer(task, module, inputs | given, settings, refit.TASKS)
            except Exception as error:
                told = {"type": type(error).__name__, "text": str(error), "line": None}
                return sandbox.Outcome("raised", error=told)
            return sandbox.Outcome("done", arrays=arrays)

    def call(body: str) -> rerun.Reproduction:
        signature = "X, max_iter=100" if "seed" not in body else "X, max_iter=100, seed=None"
        own_fit = f"given = GMM.fit\ndef fit(self, {signature}):\n{textwrap.indent(body, '    ')}\nGMM.fit = fit\n"
        box = Box(SOURCE + (UPDATE + OTHER_NAMES + own_fit).encode())
        config = dataclasses.replace(saved[0].config, max_iter=4)
        settings = {"mode": "own", "n_components": 10, "max_iter": 4, "seed": config.seed, "embedding_dim": 10}
        made = box.run("fit", {"images": data.flatten(few.train)}, settings=settings, files={})
        return rerun.reproduce(box, config, rerun._judge(made, config, few.test)[1], few)

    return call


def test_honest_fits_of_any_form_are_accepted(in_process):
    for name, (body, way) in HONEST.items():
        again = in_process(body)
        assert (again.way, again.doubt if way == "own" else "") == (way, ""), (name, again.sentence())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_does_without_its_steps_or_its_data_is_doubted(in_process):
    for name, (body, cause) in TRICKS.items():
        again = in_process(body)
        assert (again.way, again.doubt) == (None, cause), (name, again.sentence())
        assert cause in again.sentence(), name


def test_a_probe_that_fails_is_for_a_person_and_one_of_ours_is_tried_again(reproduce, good):
    for status in ("memory", "timeout", "crash", "internal"):
        again = reproduce(run=Children(good, good, failed(status)))
        assert (again.way, again.our_fault) == (None, status == "internal"), status
        assert again.doubt.startswith(rerun.UNKNOWN) or again.our_fault
    infinite = good.arrays | {"means": np.full(3, np.inf)}
    for arrays in ({}, {"means": np.zeros(0)}, {"idle_means": np.array(["x"])}, infinite):
        assert reproduce(run=Children(good, good, sandbox.Outcome("done", arrays=arrays))).way == "own", arrays
