"""Training a run with the student's submission.py, watched step by step, and saving it."""

import csv
import dataclasses
import importlib.util
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from hi_mnist import data, files, networks, runs, slips, text
from hi_mnist.cli import LabError
from hi_mnist.runs import TrainConfig

MANY = 4000  # images from which the cost of a step is foreseen


def set_seed(seed: int) -> None:
    """Seed all global generators; code with a generator or ``random_state`` of its own gets the seed passed."""
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@dataclasses.dataclass
class TrainResult:
    """The trained models, the share of the variance that the PCA keeps, and how many seconds the two parts took."""

    gmm: Any  # submission.GMM
    pca: Any  # submission.PCA, or None in AE runs
    kept: float | None  # None in AE runs
    embed_seconds: float
    fit_seconds: float


def check_file(use_pca: bool) -> None:
    """Look at the text of submission.py, without running it.

    Raises:
        LabError: Python cannot read it, or a task that this training needs is not filled in.
    """
    spec = importlib.util.find_spec("submission")
    if spec is None:
        raise LabError("there is no submission.py beside train.py; put yours there")
    try:
        gaps = slips.unfilled(Path(spec.origin).read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if getattr(error, "lineno", None) else ""  # bytes that are not text have none
        remedy = "fix that line or the one before, and save the file as UTF-8"
        raise LabError(f"submission.py{line}: {getattr(error, 'msg', error)}; {remedy}") from None
    for task in ("pca_fit", "m_step", "e_step")[not use_pca :]:
        if task in gaps:
            raise LabError(": ".join(gaps[task]))


@contextmanager
def observed(gmm, *listeners: Callable) -> Iterator[None]:
    """Call ``listener(gmm, task, arguments, result)`` after each E-step and M-step of this mixture, of any year."""

    def wrapped(task, step):
        def call(*args, **kwargs):
            result = step(*args, **kwargs)
            for listener in listeners:
                listener(gmm, task, (*args, *kwargs.values()), result)
            return result

        return call

    names = {"e_step": "_e_step", "m_step": "_m_step"}
    vars(gmm).update({name: wrapped(task, getattr(gmm, name)) for task, name in names.items()})
    try:
        yield
    finally:
        for name in names.values():
            del vars(gmm)[name]


class Checks:
    """Tells what is wrong with a task, once: what cannot be used ends the training, else it goes on.

    Args:
        submission: the student's module.
        say: takes a line.
        judge: ``judge(task, submission)`` asks the task's question, where N, K and D differ, and gives the cause of
            lost points, or an empty string. It is asked once the first real result has passed.
    """

    def __init__(self, submission, say: Callable[[str], None], judge: Callable[[str, Any], str]):
        self.submission, self.say, self.judge = submission, say, judge
        self.judged, self.blamed = set(), False

    def look(self, task: str, impossible: str) -> None:
        """Raises LabError if the result is ``impossible``: the cause, or an empty string."""
        if impossible:
            raise LabError(slips.told(task, impossible))
        if task not in self.judged:
            self.judged.add(task)
            if cause := self.judge(task, self.submission):
                self.blamed |= task != "pca_fit"
                self.say(slips.told(task, cause))

    def gamma(self, gamma, n: int, k: int) -> None:
        cause = (
            slips.form({"gamma": gamma}, {"gamma": (n, k)})
            if isinstance(gamma, np.ndarray)
            else (f"it returns {type(gamma).__name__} instead of an array: is `return gamma` missing?")
        )
        if not cause and np.abs(sums := gamma.sum(axis=1) - 1).max() > 1e-3:
            cause = f"rows of gamma do not sum to 1: {np.count_nonzero(np.abs(sums) > 1e-3):,} of {n:,}"
        self.look("e_step", cause)

    def __call__(self, gmm, task: str, arguments: tuple, result) -> None:
        """A listener of ``observed``."""
        K, D = gmm.n_components, gmm.data_dim
        if task == "e_step":
            if task not in self.judged:
                self.gamma(result, len(arguments[0]), K)
            return
        found = {name: getattr(gmm, name, None) for name in ("pi", "means", "covs")}
        trace = getattr(gmm, "log_likelihoods", [])
        cause = slips.form(found, {"pi": (K,), "means": (K, D), "covs": (K, D, D)})
        pi, _, covs = (np.asarray(array) for array in found.values())
        if not cause and abs(pi.sum() - 1) > 1e-4:
            cause = f"pi sums to {pi.sum():.6g} instead of 1"
        if not cause and np.abs(covs - covs.transpose(0, 2, 1)).max() > 1e-4 * np.abs(covs).max():
            cause = "covs are not symmetric"
        if not cause and task not in self.judged and np.array_equal(covs, type(gmm)(K, D).covs):
            cause = "self.covs is not set"
        if cause or not np.isfinite(trace[-1:]).all():  # perhaps because of gamma
            self.gamma(arguments[1], len(arguments[1]), K)
        self.look(task, cause)
        if not self.blamed and (fall := runs.fall(trace)):
            self.blamed = True
            self.say(f"{fall}; python -m grading submission.py")


def foresee(gmm, X: np.ndarray, say: Callable[[str], None]) -> None:
    """Try both steps of a new mixture with few rows of X, and say how long a slow one would take with all of them.

    Raises:
        LabError: a step would need more memory than there is.
    """
    import psutil

    quick = max(1, (X.shape[1] / 50) ** 2)  # seconds in which matrix operations do it for 60,000 rows
    gamma = np.random.default_rng(0).dirichlet(np.ones(gmm.n_components), size=400)
    steps = {
        "m_step": lambda m: gmm._m_step(X[:m].copy(), gamma[:m].copy()),
        "e_step": lambda m: gmm._e_step(X[:m].copy()),
    }
    for task, step in steps.items():
        seconds = needed = 0.0
        with suppress(Exception), slips.unnoticed():  # the first real call raises it again
            seconds, needed = slips.forecast(step, len(X))
        if needed > psutil.virtual_memory().available:
            cause = f"its N x N arrays would take {text.size(needed)} for {len(X):,} images"
            raise LabError(slips.told(task, f"{cause}: keep to (N, K) and (N, D)"))
        if seconds > 5 * quick:
            cause = (
                f"one call for {len(X):,} images would take {seconds:.0f} s or more (vectorised: under {quick:.0f} s)"
            )
            say(slips.told(task, f"{cause}: loop over the K components, not over the samples"))


def train(
    config: TrainConfig,
    images: np.ndarray,
    say: Callable[[str], None] = lambda line: None,
    judge: Callable[[str, Any], str] = lambda task, submission: "",
) -> TrainResult:
    """Embed and fit.

    Args:
        config: the settings.
        images: uint8 (N, 1, 28, 28), 0..255.
        say, judge: of ``Checks``.

    Raises:
        LabError: the settings do not fit the data, or a step's result cannot be used.
    """
    config.validate(n_samples=len(images))
    import submission  # only here: nothing else runs the student's code in this process

    checks = Checks(submission, say, judge)
    start = time.monotonic()
    pca = kept = None
    if config.use_pca:
        rows, pca = data.flatten(images), submission.PCA(config.embedding_dim)
        pca.fit(rows)
        D = rows.shape[1]
        if np.shape(pca.mean) == (1, D):  # right, too
            pca.mean = np.reshape(pca.mean, D)
        checks.look("pca_fit", slips.form(vars(pca), {"mean": (D,), "components": (config.embedding_dim, D)}))
        codes = pca.transform(rows)
        some = slice(None, None, max(1, len(rows) // 6000))
        kept = codes[some].var(axis=0).sum() / rows[some].var(axis=0).sum()
    else:
        codes = networks.ae_encode(networks.load_ae(config.ae), images)
    embedded = time.monotonic()
    gmm = submission.GMM(config.n_components, codes.shape[1])
    if len(codes) >= MANY:
        foresee(submission.GMM(config.n_components, codes.shape[1]), codes, say)
    try:
        with observed(gmm, checks):
            gmm.fit(codes, max_iter=config.max_iter, seed=config.seed)
    except np.linalg.LinAlgError as error:
        variances = np.linalg.eigvalsh(gmm.covs)
        if variances.min() > 1e-12 * variances.max():
            raise  # the fault is not the covariances'
        cause = f"a covariance became singular ({error}); check them"
        raise LabError(
            slips.told("m_step", f"{cause}, or take fewer --n_components or a smaller --embedding_dim")
        ) from None
    return TrainResult(gmm, pca, kept, embedded - start, time.monotonic() - embedded)


def save_run(path: Path, config: TrainConfig, result: TrainResult) -> None:
    """Write the run's folder, whole or not at all.

    Raises:
        LabError: the parameters are not a valid mixture or PCA of such data: later steps would refuse to read them.
    """
    with files.new_folder(path) as folder:
        result.gmm.save_pretrained(folder / "gmm")
        if result.pca is not None:
            result.pca.save_pretrained(folder / "pca")
        config.save(folder / "config.yaml")
        with (folder / "trace.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["iteration", "mean_log_likelihood"])
            writer.writerows(enumerate(result.gmm.log_likelihoods, start=1))
        try:
            runs.load_run(folder)
        except LabError as error:
            cause = str(error).replace(f"{folder}{os.sep}", "").partition(";")[0]
            raise LabError(f"nothing was saved: {cause}; check tasks 1.2 and 2.1 of submission.py") from None
