"""Training a run with the student's submission.py, watched step by step, and saving it."""

import csv
import dataclasses
import importlib.util
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from hi_mnist import data, files, networks, runs, slips, text
from hi_mnist.cli import LabError, explain
from hi_mnist.runs import TrainConfig
from hi_mnist.trace import FILE, Trace

MANY = 4000  # images from which the cost of a step is foreseen


def set_seed(seed: int) -> None:
    """Seed all global generators; code with a generator or ``random_state`` of its own gets the seed passed."""
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@dataclasses.dataclass
class TrainResult:
    """What ``train`` returns."""

    gmm: Any  # submission.GMM
    pca: Any  # submission.PCA, or None in AE runs
    kept: float | None  # share of the variance that the PCA keeps; None in AE runs
    embed_seconds: float
    fit_seconds: float
    trace: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)  # of ``Trace.arrays``


def check_file(use_pca: bool) -> None:
    """Raise LabError if Python cannot read submission.py, which is not run, or a task of this training is unfilled."""
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
def in_one_line() -> Iterator[None]:
    """Raise an exception in submission.py as a LabError: its task, its line there, and the command that shows more."""
    try:
        yield
    except Exception as error:
        stack = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        lines = [(code.co_qualname, line) for code, line in stack if Path(code.co_filename).name == "submission.py"]
        if explain(error) or not lines:
            raise
        steps = {f"{owner}.{function}": task for task, (_, owner, function) in slips.TASKS.items()}
        name, line = ([one for one in lines if one[0] in steps] or lines)[-1]  # given code that a step calls is right
        cause = f"submission.py, line {line}: {text.one_line(f'{type(error).__name__}: {error}')}"
        raise LabError(slips.told(steps.get(name), cause)) from error


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
    """A listener of ``observed``: what cannot be used ends the training in one line, what is wrong is said once a task.

    ``say`` takes a line. ``judge(task, submission)`` asks the task's question, where N, K and D differ, once its first
    real result has passed, and gives the cause of lost points or an empty string.
    """

    def __init__(self, submission, say: Callable[[str], None], judge: Callable[[str, Any], str]):
        self.submission, self.say, self.judge = submission, say, judge
        self.causes, self.blamed = {}, False

    def look(self, task: str, impossible: str) -> None:
        """Raises LabError if a result is ``impossible``, the cause; it is empty if nothing is."""
        first = task not in self.causes
        if first:
            self.causes[task] = self.judge(task, self.submission)
        if impossible.endswith("NaN or infinity"):  # of a step that is right itself, it comes from one that is not
            task = next((one for one in (task, *self.causes) if self.causes[one]), task)
            impossible += f" ({self.causes[task]})" if self.causes[task] else ""
        if impossible:
            raise LabError(slips.told(task, f"{impossible}, so nothing was saved"))
        if first and self.causes[task]:
            self.blamed |= task != "pca_fit"
            self.say(slips.told(task, self.causes[task]))

    def __call__(self, gmm, task: str, arguments: tuple, result) -> None:
        gamma, trace = (result, []) if task == "e_step" else (arguments[1], getattr(gmm, "log_likelihoods", []))
        cause, first = "", task not in self.causes
        if task == "m_step":
            cause = slips.in_mixture(gmm, type(gmm)(gmm.n_components, gmm.data_dim) if first else None)
        if cause or not np.isfinite(trace[-1:]).all() or (task == "e_step" and first):  # NaN comes from gamma first
            self.look("e_step", slips.in_gamma(gamma, (len(arguments[0]), gmm.n_components)))
        self.look(task, cause)
        if not self.blamed and (fall := runs.fall(trace)):
            self.blamed = True
            self.say(slips.told(None, fall))


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
        if seconds > 2 * quick:
            cause = f"one call for {len(X):,} images takes {seconds:.0f} s or more (vectorised: under {quick:.0f} s)"
            say(slips.told(task, f"{cause}: loop over the K components, not over the samples"))


@in_one_line()
def train(
    config: TrainConfig,
    images: np.ndarray,
    say: Callable[[str], None] = lambda line: None,
    judge: Callable[[str, Any], str] = lambda task, submission: "",
) -> TrainResult:
    """Embed images, uint8 (N, 1, 28, 28), and fit; ``say`` and ``judge`` are those of ``Checks``.

    Raises:
        LabError: the settings do not fit the data, a step's result cannot be used, or submission.py fails.
    """
    config.validate(n_samples=len(images))
    import submission  # only here: nothing else runs the student's code in this process

    for _, owner, function in list(slips.TASKS.values())[: 2 + config.use_pca]:
        if not hasattr(getattr(submission, owner, None), function):
            raise LabError(f"submission.py: {owner}.{function} is missing; keep the names of classes and methods")

    checks = Checks(submission, say, judge)
    start = time.monotonic()
    pca = kept = None
    if config.use_pca:
        rows, pca = data.flatten(images), submission.PCA(config.embedding_dim)
        pca.fit(rows)
        D = rows.shape[1]
        if np.shape(getattr(pca, "mean", None)) == (1, D):  # right, too
            pca.mean = np.reshape(pca.mean, D)
        checks.look("pca_fit", slips.form(pca, {"mean": (D,), "components": (config.embedding_dim, D)}))
        codes = pca.transform(rows)
        centred = (np.subtract(rows[i : i + 1024], pca.mean, dtype=np.float32) for i in range(0, len(rows), 1024))
        kept = np.square(codes).sum() / max(1.0, sum(float(np.vdot(block, block)) for block in centred))
    else:
        codes = networks.ae_encode(networks.load_ae(config.ae), images)
    embedded = time.monotonic()
    gmm, trace = submission.GMM(config.n_components, codes.shape[1]), Trace(codes)
    if len(codes) >= MANY:
        foresee(submission.GMM(config.n_components, codes.shape[1]), codes, say)
    try:
        with observed(gmm, checks, trace):
            gmm.fit(codes, max_iter=config.max_iter, seed=config.seed)
    except np.linalg.LinAlgError as error:
        variances = np.linalg.eigvalsh(gmm.covs)
        if variances.min() > 1e-12 * variances.max():
            raise  # the fault is not the covariances'
        remedy = "check them, or take fewer --n_components or a smaller --embedding_dim"
        raise LabError(slips.told("m_step", f"a covariance is singular ({error}): {remedy}")) from None
    return TrainResult(gmm, pca, kept, embedded - start, time.monotonic() - embedded, trace.arrays())


def save_run(path: Path, config: TrainConfig, result: TrainResult) -> None:
    """Write the run's folder, whole or not at all. Raises LabError if later steps would refuse its parameters."""
    with files.new_folder(path) as folder:
        result.gmm.save_pretrained(folder / "gmm")
        if result.pca is not None:
            result.pca.save_pretrained(folder / "pca")
        config.save(folder / "config.yaml")
        with (folder / "trace.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["iteration", "mean_log_likelihood"])
            writer.writerows(enumerate(result.gmm.log_likelihoods, start=1))
        if result.trace:
            (folder / FILE).write_bytes(save(result.trace))
        try:
            runs.load_run(folder)
        except LabError as error:
            cause = str(error).replace(f"{folder}{os.sep}", "").partition(";")[0]
            task = "pca_fit" if cause.startswith("pca") else "m_step"
            raise LabError(slips.told(task, f"{cause}, so nothing was saved")) from None
