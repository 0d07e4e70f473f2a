"""Slips in submission.py that show without the right answers: tasks left out, impossible results, steps too slow."""

import ast
import random
import re
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from types import SimpleNamespace

import numpy as np

TASKS = {  # id of the question: label, class, function
    "e_step": ("1.1 E-step", "GMM", "_e_step"),
    "m_step": ("1.2 M-step", "GMM", "_m_step"),
    "pca_fit": ("2.1 PCA", "PCA", "fit"),
    "sample_from_gmm": ("5.1 sampling", "", "sample_from_gmm"),
}
FILL_IN, DELETE = "fill in this task first", "delete this line of the handout: it stands beside your code"


def told(task: str | None, cause: str) -> str:
    """The line for a student: the task if it is known, what is wrong, and the command that tells more."""
    line = f"{cause}; python -m grading submission.py"
    return f"{TASKS[task][0]}: {line} --only {task}" if task else line


def unfilled(source: bytes) -> dict[str, tuple[str, str]]:
    """Tasks that are certain to reach the handout's ``raise NotImplementedError``, found in the syntax tree.

    By the task's id: the line with its text, and ``FILL_IN`` or ``DELETE``. Raises SyntaxError or ValueError if Python
    cannot read the source.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes: the import warns, too
        tree = ast.parse(source, "submission.py")
    classes = [("", tree), *((node.name, node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
    found = {}
    for name, (_, owner, function) in TASKS.items():
        bodies = [node.body for title, node in classes if title == owner]
        same = [node for body in bodies for node in body if getattr(node, "name", "") == function]
        # Another method may take its place: GMM._e_step = mine, setattr(GMM, ...), class Better(GMM), GMM = Better.
        other = rf"\b({owner or function}|{function})\s*=[^=]|setattr|class.*\b{owner or function}\)"
        if len(bodies) == len(same) == 1 and not re.search(other.encode(), source):
            body = same[0].body[ast.get_docstring(same[0]) is not None :]
            body = [statement for statement in body if not ast.unparse(statement).startswith("X = samples(")]  # given
            for statement in body:
                if text := left_out(statement):
                    where = f"submission.py, line {statement.lineno}: {text}"
                    found[name] = where, FILL_IN if len(body) == 1 else DELETE
                if any(isinstance(node, ast.Return | ast.Raise) for node in ast.walk(statement)):
                    break
    return found


def left_out(statement: ast.stmt) -> str:
    """The text of a region that is as it was handed out, one ``raise NotImplementedError``; else empty."""
    match statement:
        case ast.Raise(exc=ast.Call(ast.Name("NotImplementedError"), [ast.Constant(str(text))])):
            return text
    return ""


def form(owner, shapes: dict[str, tuple[int, ...]]) -> str:
    """Why attributes cannot be right; empty if they have these shapes and hold finite numbers."""
    for name, shape in shapes.items():
        value = getattr(owner, name, None)
        if value is None:
            return f"self.{name} is not set"
        try:
            array = np.asarray(value)
        except ValueError:  # rows of different lengths
            array = np.array("")
        if array.dtype.kind not in "biuf":
            return f"{name} does not hold real numbers"
        if array.shape != shape:
            hint = " (transpose it)" if array.shape == shape[::-1] else ""
            return f"{name} has shape {array.shape} instead of {shape}{hint}"
        if not np.isfinite(array.sum()):
            return f"{name} holds NaN or infinity"
    return ""


def in_gamma(gamma, shape: tuple[int, int]) -> str:
    """Why the E-step's result cannot be right, or an empty string."""
    if not isinstance(gamma, np.ndarray):
        hint = " (is `return gamma` missing?)" if gamma is None else ""
        return f"it returns {type(gamma).__name__} instead of an array{hint}"
    if cause := form(SimpleNamespace(gamma=gamma), {"gamma": shape}):
        return cause
    off = np.count_nonzero(np.abs(gamma.sum(axis=1) - 1) > 1e-3)
    return f"{off:,} of the {len(gamma):,} rows of gamma do not sum to 1" if off else ""


def in_mixture(gmm, new=None) -> str:
    """Why the parameters that the M-step sets cannot be right, or an empty string; ``new`` is a mixture before it."""
    K, D = gmm.n_components, gmm.data_dim
    if cause := form(gmm, {"pi": (K,), "means": (K, D), "covs": (K, D, D)}):
        return cause
    total, covs = np.sum(gmm.pi), np.asarray(gmm.covs)
    if abs(total - 1) > 1e-4:
        return f"pi sums to {total:.6g} instead of 1"
    if np.abs(covs - covs.transpose(0, 2, 1)).max() > 1e-4 * np.abs(covs).max():
        return "covs are not symmetric"
    return "self.covs is not set" if np.array_equal(covs, getattr(new, "covs", None)) else ""


@contextmanager
def unnoticed() -> Iterator[None]:
    """Try a student's code: what it prints, warns of and draws from the global generators leaves no trace.

    It gets one BLAS thread: more would wait for each other on a busy machine.
    """
    from threadpoolctl import threadpool_limits

    python, numpy, nowhere = random.getstate(), np.random.get_state(), StringIO()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), redirect_stdout(nowhere), redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            with threadpool_limits(1, user_api="blas"):
                yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def forecast(step: Callable[[int], object], n: int) -> tuple[float, float]:
    """The seconds that ``step(n)`` takes at least, and the bytes of its n x n arrays, from tries with few rows."""

    def seconds(m):
        start = time.thread_time()  # other programs and waiting threads do not count
        step(m)
        return time.thread_time() - start

    def peak(m):
        tracemalloc.start()
        try:
            step(m)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    step(8)  # imports and caches, which come once
    few, many = seconds(200), seconds(400)
    less, more = (peak(200), peak(400)) if many < 0.1 else (0, 0)  # tracing is slow
    return many + (many - few) / 200 * (n - 400), more * (n / 400) ** 2 if more > max(3 * less, 150_000) else 0
