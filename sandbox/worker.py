"""What the child process does with a submission: load it, and answer questions by it, arrays in, arrays out.

``child.py`` runs it. It knows neither right answers nor scores, so student code cannot find or forge them.
``grading.checks.ask_here`` asks code that is loaded already, without a process.
"""

import __future__

import linecache
import os
import random
import re
import sys
import traceback
import types
from pathlib import Path

import numpy as np

FILE = "submission.py"
HERE = ""  # the working folder, from before student code can change it
# The start of the message of a task that was not attempted.
LABEL = re.compile(r"\d+\.\d+ \w.*: ")


class Missing(Exception):
    """submission.py lacks a name that the task needs."""


def load(source: bytes, name: str = "submission_under_test") -> types.ModuleType:
    """Run a submission's source, of any encoding and line ends, and return it as a module.

    Annotations are not evaluated: ``gmm: GMM`` in a file without this class costs no other question.
    """
    if not source.strip():
        raise Missing("the file is empty")
    if b"\0" in source:
        raise SyntaxError("the file holds NUL bytes: it is UTF-16 or damaged, not UTF-8 text")
    if source.lstrip().startswith(b"{") and b'"cells"' in source:
        raise SyntaxError("the file is a Jupyter notebook, not Python code")
    module = types.ModuleType(name)
    module.__file__ = os.path.abspath(FILE)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    linecache.cache[FILE] = (len(text), None, text.splitlines(keepends=True), FILE)
    exec(compile(source, FILE, "exec", __future__.annotations.compiler_flag), module.__dict__)
    return module


def answer(
    task: str, submission: types.ModuleType, inputs: dict, settings: dict, tasks: dict | None = None
) -> dict[str, np.ndarray]:
    """Do one task with a submission; ``inputs`` are named ``NAME_i`` in case i.

    ``tasks`` are another lab's, whose answers are converted here; None means ``TASKS``.

    Returns:
        Arrays of float64, complex128 or uint8, to be judged elsewhere; empty for an answer without numbers.
    """
    if tasks is None:
        return TASKS[task](submission, inputs, settings)
    return {name: numbers(value) for name, value in tasks[task](submission, inputs, settings).items()}


def need(owner, name: str):
    """An attribute that a submission must have. Raises Missing."""
    if not hasattr(owner, name):
        where = getattr(owner, "__name__", "") if isinstance(owner, type) else ""
        what = f"{where}.{name}" if where else f"{'class ' * name.isupper()}{name}"
        raise Missing(f"{what} is missing")
    return getattr(owner, name)


def numbers(value) -> np.ndarray:
    """An array or tensor copied to plain float64 or complex128; empty if it does not hold numbers.

    ``subok=False`` reads the stored numbers of an ndarray subclass and ignores its methods.
    """
    try:
        if "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor):
            value = value.detach().cpu().numpy()
        array = np.array(value, subok=False)
    except (ValueError, TypeError, RuntimeError):
        return np.zeros(0)
    if array.dtype.kind not in "biufc":
        return np.zeros(0)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def cases(inputs: dict, name: str) -> range:
    return range(sum(key.startswith(f"{name}_") for key in inputs))


def mixture(submission, means, covs, pi):
    """The student's own GMM with the given parameters."""
    gmm = need(submission, "GMM")(*means.shape)
    gmm.means, gmm.covs, gmm.pi = means.copy(), covs.copy(), pi.copy()
    return gmm


def e_step(submission, inputs, settings) -> dict:
    """Responsibilities ``gamma_i`` for parameters ``means_i covs_i pi_i`` and data ``x_i``; the last case may fail."""
    answers = {}
    last = cases(inputs, "x")[-1]
    for i in cases(inputs, "x"):
        x = inputs[f"x_{i}"].copy()
        gmm = mixture(submission, inputs[f"means_{i}"], inputs[f"covs_{i}"], inputs[f"pi_{i}"])
        need(type(gmm), "_e_step")
        try:
            answers[f"gamma_{i}"] = numbers(gmm._e_step(x))
        except Exception:
            # Points so far away that all densities underflow: code that fails here still works on the lab's data.
            if i < last:
                raise
            answers[f"gamma_{i}"] = np.zeros(0)
        answers[f"x_after_{i}"] = numbers(x)
    return answers


def m_step(submission, inputs, settings) -> dict:
    """Parameters ``pi_i means_i covs_i`` for data ``x_i`` and given ``gamma_i``; the GMM starts from others.

    An exception has what was set before it as its attribute ``answers``, in all cases.
    """
    answers, raised, anything = {}, None, False
    for i in cases(inputs, "x"):
        x, gamma = inputs[f"x_{i}"].copy(), inputs[f"gamma_{i}"].copy()
        before = {name: inputs[f"{name}_{i}"] for name in ("means", "covs", "pi")}
        gmm = mixture(submission, **before)
        need(type(gmm), "_m_step")
        try:
            returned = gmm._m_step(x, gamma)
        except Exception as error:
            raised, returned = raised or error, None
        found = {name: numbers(getattr(gmm, name, None)) for name in before}
        if all(np.array_equal(found[name], before[name]) for name in before):
            found |= by_shape(returned, before)
        else:
            anything = True
        answers |= {f"{name}_{i}": array for name, array in found.items()}
        answers |= {f"x_after_{i}": numbers(x), f"gamma_after_{i}": numbers(gamma)}
    if raised:
        raised.answers = answers if anything else {}
        raise raised
    return answers


def by_shape(returned, before: dict) -> dict:
    """Parameters that were returned instead of set, recognised by their shapes."""
    if not isinstance(returned, tuple | list):
        return {}
    arrays = [numbers(value) for value in returned]
    return {name: array for name, old in before.items() for array in arrays if array.shape == old.shape}


def pca_fit(submission, inputs, settings) -> dict:
    """``components_i`` and ``mean_i`` of data ``x_i`` for ``dim_i`` dimensions."""
    answers = {}
    for i in cases(inputs, "x"):
        x = inputs[f"x_{i}"].copy()
        pca = need(submission, "PCA")(int(inputs[f"dim_{i}"]))
        need(type(pca), "fit")
        pca.fit(x)
        for name in ("components", "mean"):
            answers[f"{name}_{i}"] = numbers(getattr(pca, name, None))
        answers[f"x_after_{i}"] = numbers(x)
    return answers


class GivenPCA:
    """The lab's PCA with set parameters: a sampler is judged by itself, not by the student's PCA."""

    def transform(self, x):
        return (x - self.mean) @ self.components.T

    def inverse_transform(self, z):
        return z @ self.components + self.mean


class GivenGMM:
    """The lab's mixture with set parameters."""


def given(base: type, submission, name: str, **attributes):
    """An object with the lab's methods and parameters, which also has the student's own helper methods."""
    theirs = getattr(submission, name, None)
    try:
        made = type(name, (base, theirs), {}) if isinstance(theirs, type) else base
        thing = object.__new__(made)
        for key, value in attributes.items():
            setattr(thing, key, value)
    except Exception:  # the student's metaclass, slots or properties interfere
        thing = object.__new__(base)
        thing.__dict__ |= attributes
    return thing


def given_pair(submission, inputs: dict, i: str) -> tuple:
    """The mixture and the PCA for a sampler."""
    of_gmm = {name: inputs[f"{name}{i}"].copy() for name in ("means", "covs", "pi")}
    of_pca = {name: inputs[f"{name}{i}"].copy() for name in ("components", "mean")}
    k, d = of_gmm["means"].shape
    gmm = given(GivenGMM, submission, "GMM", n_components=k, data_dim=d, **of_gmm)
    return gmm, given(GivenPCA, submission, "PCA", dim=len(of_pca["components"]), **of_pca)


def sample_from_gmm(submission, inputs, settings) -> dict:
    """``n_i`` pictures of component ``label_i``: ``images_i`` uint8 (n, 28, 28), and ``form_i`` of the first bad one.

    ``form_i`` is empty if all are good; else it holds the fault of the file (0 missing, 1 not a picture, 2 not PNG,
    3 not 8-bit grey, 4 not 28 x 28), its width and its height, and the letters of another file's name that was written.
    """
    answers = {}
    for i in cases(inputs, "label"):
        images, form = pictures(submission, inputs, f"_{i}", inputs[f"label_{i}"], inputs[f"n_{i}"])
        answers |= {f"images_{i}": images, f"form_{i}": form}
    return answers


def draw(submission, inputs, settings) -> dict:
    """``n`` pictures of component ``label``: ``images`` uint8 (n, 28, 28), or the ``form`` of the first bad one."""
    images, form = pictures(submission, inputs, "", settings["label"], settings["n"])
    return {"form": form} if form.size else {"images": images}


def pictures(submission, inputs: dict, i: str, label: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 (n, 28, 28) until the first bad one, and its form."""
    sampler, images, form = need(submission, "sample_from_gmm"), [], []
    while len(images) < n and not form:
        image, form = drawn(sampler, *given_pair(submission, inputs, i), int(label))
        images += [] if form else [image]
    return np.array(images, dtype=np.uint8).reshape(len(images), 28, 28), np.array(form, dtype=np.float64)


def drawn(sampler, gmm, pca, label: int) -> tuple[np.ndarray | None, list]:
    """One picture and an empty list, or None and the list of fault, width, height."""
    from PIL import Image

    folder = Path(HERE, "drawn").absolute()
    folder.mkdir(exist_ok=True)
    target = folder / "gmm_sample.png"
    target.unlink(missing_ok=True)
    try:
        sampler(gmm, pca, label, folder)
    except TypeError:
        sampler(gmm, pca, label, str(folder))  # "path: str | Path": the code may need a str
    if not target.is_file():
        others = [path for place in (folder, folder.parent) for path in place.iterdir() if path.is_file()]
        newest = max((path for path in others if path.name != FILE), key=os.path.getmtime, default=folder)
        return None, [0, 0, 0, *os.path.relpath(newest, folder).encode("utf-8", "replace")[: 80 * (newest != folder)]]
    try:
        with Image.open(target) as image:
            for code, wrong in ((2, image.format != "PNG"), (3, image.mode != "L"), (4, image.size != (28, 28))):
                if wrong:
                    return None, [code, *image.size]
            return np.array(image, dtype=np.uint8), []
    except (OSError, ValueError, SyntaxError):
        return None, [1, 0, 0]


TASKS = {task.__name__: task for task in (e_step, m_step, pca_fit, sample_from_gmm, draw)}


def describe(error: BaseException) -> dict:
    """An exception for the parent: text to show, never a verdict."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    line = frames[-1].lineno if frames else None
    try:
        text = str(error)
    except BaseException:  # the student's own exception may fail in __str__
        text = "(its text cannot be shown)"
    kinds = {SyntaxError: "syntax", Missing: "missing", ImportError: "import"}
    kind = next((name for cause, name in kinds.items() if isinstance(error, cause)), "exception")
    if kind == "syntax":
        line, text = error.lineno, str(error.msg)
    elif isinstance(error, NotImplementedError) and LABEL.match(text):
        kind = "not_attempted"
    trace = "".join(traceback.format_list(frames) + traceback.format_exception_only(error))
    return {
        "status": "raised",
        "kind": kind,
        "type": type(error).__name__[:100],
        "text": text[:2000],
        "line": line,
        "errno": error.errno if isinstance(error, OSError) else None,
        "trace": trace[-4000:],
    }


def seed_everything(seed: int) -> None:
    """Make the same submission give the same report, even if it makes generators without a seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    stream = random.Random(seed)
    # numpy.random.default_rng() and random.Random() get their seeds from this function.
    random._urandom = stream.randbytes
