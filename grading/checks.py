"""Ask and score the questions on the code, those in ``questions/`` or a companion lab's: ``check_code`` does all."""

import contextlib
import hashlib
import hmac
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import sandbox
from grading.questions import e_step, m_step, pca_fit, sampling
from grading.questions.common import Arrays, Question, question
from hi_mnist import slips
from hi_mnist.cli import LabError
from hi_mnist.text import one_line
from sandbox import worker

LARGEST_SOURCE = 2**20  # bytes; the solved file has about 15,000
ASKED_DIGIT = 6  # question 6 asks for its cluster, and both generators draw it
QUESTIONS = {
    "e_step": e_step.QUESTION,
    "m_step": m_step.QUESTION,
    "pca_fit": pca_fit.QUESTION,
    "sample_from_gmm": sampling.QUESTION,
}
LAB_LIMITS = sandbox.Limits(memory=8 * 2**30)  # of the companion labs: torch's build for CUDA alone maps 3 GiB
HINTS = {
    "TIMEOUT": "replace loops over samples by matrix operations; look for a loop or a wait that never ends",
    "MEMORY": "an array with two sample axes, (N, N), is too large: keep to (N, K) and (N, D)",
    "CRASH": "the code must return to its caller: no exit(), no processes or threads of its own",
    "INTERNAL": "run it again; if this happens again, tell the staff: it costs no points",
}
# What an exception's text may hold, and the hint; companion labs use them as well.
HINTS_BY_TEXT = {
    "NUL bytes|codec can't decode": "save the file again with the encoding UTF-8",
    "invalid .*character": "type that character again, with a keyboard set to English",
    "file is empty": "save your code in it, and look at its size before you hand it in",
    "Jupyter": "hand in the code alone, as Python",
    "annot write mode|data type": "clip first, then .astype(np.uint8); Image.fromarray without mode=, shape (28, 28)",
    "unknown file extension": "name the file with its ending, not the folder: Path(path) / 'gmm_sample.png'",
    "annot cast ufunc": "X -= y keeps the type of X, here whole numbers: write X = X - y",
    "'GMM' object has no attribute": "GMM has n_components (K), data_dim (D), means, covs and pi",
    "'PCA' object has no attribute": "PCA has dim (d), components and mean",
    "'NoneType' object": "None is what a function without `return` gives, and what is not set yet",
    "broadcast": "these shapes do not fit: print both; n[:, None] makes a column, and a[:, k] is one",
    "core dimension|not aligned": "the inner sizes of a product must be equal: transpose one side by .T",
    "with a sequence": "a single number is wanted there: look at the shape of the right side",
    "positional argument": "keep the arguments of methods and functions as they came",
    "NameError": "define or import that name in submission.py, or mend its spelling",
    "No such file": "only submission.py is there: read no files of your own",
    "EOFError": "nobody is there to type: remove input() and breakpoint()",
    "1.2 M-step": "remove this `raise`: your code stands above it",
    "annot reshape": "count both sides: 28 x 28 pixels are 784 numbers, so turn a code into pixels first",
    "ingular matrix|positive definite": "a covariance needs an inverse: add 1e-6 to its diagonal, or mend it",
}


def read_source(path: Path) -> bytes:
    """The bytes of a submission. Raises LabError where the file is missing, or too large to be source code."""
    if not path.is_file():
        raise LabError(f"there is no file {path}; give the path of your submission.py")
    size = path.stat().st_size
    if size > LARGEST_SOURCE:
        raise LabError(f"{path} has {size:,} bytes, more than {LARGEST_SOURCE:,}; give your submission.py")
    return path.read_bytes()


def make_inputs(name: str, seed: int, questions: dict[str, Question] | None = None) -> Arrays:
    """What a question of ``questions`` (or ``QUESTIONS``) gives; other seeds change the numbers, not the difficulty."""
    return (questions or QUESTIONS)[name].inputs(np.random.default_rng([seed, *name.encode()]))


def secret_seeds(key: str, whose: str, names: Iterable[str] = QUESTIONS) -> dict[str, int]:
    """A seed for each question that only the key's owner can compute, always the same for the same code or student."""
    texts = {name: f"{whose.casefold()}\0{name}".encode() for name in names}
    return {name: int.from_bytes(hmac.digest(str(key).encode(), text, "sha256")) for name, text in texts.items()}


def score(name: str, inputs: Arrays, answers: Arrays, questions: dict[str, Question] | None = None) -> dict:
    """Judge the answers to one question of ``questions`` (or ``QUESTIONS``), arrays of any shapes, types and values.

    Returns its entry of ``questions`` in grade.json; the verdict is PASS or WRONG.
    """
    asked = (questions or QUESTIONS)[name]
    with np.errstate(all="ignore"):  # answers may hold anything
        points, message, hint = asked.judge(inputs, answers)
    entry = question(name, asked.label, asked.points) | {"score": float(points), "message": message}
    return entry | ({"verdict": "PASS"} if points == asked.points else {"verdict": "WRONG", "hint": hint})


def ask_here(name: str, submission) -> str:
    """Ask a question of a module that this process has loaded: the cause of lost points; empty if none are lost."""
    inputs = make_inputs(name, seed=0)
    try:
        with slips.unnoticed():
            answers = worker.answer(name, submission, inputs, {})
    except Exception as error:
        return one_line(f"where N, K and D differ, {type(error).__name__}: {error}")
    entry = score(name, inputs, answers)
    return "" if entry["verdict"] == "PASS" else entry["message"].splitlines()[0]


def check_code(
    source: bytes,
    *,
    only: list[str] | None = None,
    seed: int | dict[str, int] = 0,
    limits: sandbox.Limits | None = None,
    jobs: int = 2,
    questions: dict[str, Question] | None = None,
    tasks: bytes | None = None,
    box: sandbox.Box | None = None,
) -> list[dict]:
    """Check a submission's code.

    Args:
        source: the bytes of submission.py.
        only: ids of the questions; None checks all.
        seed: chooses the numbers, for all questions or by question; the same seed gives the same report.
        limits: limits of each question; None means ``sandbox.Limits()``.
        jobs: number of processes at the same time where each question needs its own (without bubblewrap).
        questions, tasks: another lab's, and its part of the worker, a module with ``TASKS``; None: the main lab's.
        box: a sandbox of this submission that is there already; None makes one.

    Returns:
        The entries of ``questions`` in grade.json, in the order of the questions.
    """
    questions = questions or QUESTIONS
    names = [name for name in questions if only is None or name in only]
    gaps = {}
    if box is None and questions is QUESTIONS and b"NotImplementedError" in source:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):  # the box tells
            gaps = slips.unfilled(source)
    seeds = seed if isinstance(seed, dict) else dict.fromkeys(names, seed)
    with contextlib.nullcontext(box) if box else sandbox.Box(source, tasks) as box:

        def check(name: str) -> dict:
            if gaps.get(name, ("", ""))[1] == slips.FILL_IN:
                told = {"verdict": "ERROR", "message": f"not attempted: {gaps[name][0]}", "hint": slips.FILL_IN}
                return question(name, questions[name].label, questions[name].points) | told
            inputs = make_inputs(name, seeds[name], questions)
            # Not the seed itself: with it, code could reveal the numbers of the class's grading to a student at home.
            own = int.from_bytes(hashlib.sha256(f"{seeds[name]} {name}".encode()).digest()[:4])
            outcome = box.run(name, inputs, settings={"seed": own}, limits=limits)
            return judged(name, inputs, outcome, questions)

        if box.sealed:  # in this thread: bubblewrap ends with the thread that started it
            return list(map(check, names))
        with ThreadPoolExecutor(max(1, jobs)) as pool:
            try:
                return list(pool.map(check, names))
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)
                raise


def judged(name: str, inputs: Arrays, outcome: sandbox.Outcome, questions: dict[str, Question] = QUESTIONS) -> dict:
    """The entry of one question, from what the child left; arrays beside an exception get their points, too."""
    found = {}
    if outcome.status == "done" or outcome.arrays:
        try:
            found = score(name, inputs, outcome.arrays, questions)
        except Exception as error:  # an answer that breaks our own code fails its own question only
            outcome = sandbox.Outcome("crash", cause=f"its answers cannot be judged ({type(error).__name__})")
    if outcome.status == "done":
        return found
    entry = question(name, questions[name].label, questions[name].points)
    if outcome.status == "raised":
        message, hint = explain_error(outcome.error | ({"kind": "exception"} if found else {}))
        if found:
            message += f"\nwhat was set before that: {found['message']}"
            hint = "; ".join(filter(None, (hint, found.get("hint"))))
        return entry | {"score": found.get("score", 0.0), "verdict": "ERROR", "message": message, "hint": hint}
    return entry | {"verdict": (verdict := outcome.status.upper()), "message": outcome.cause, "hint": HINTS[verdict]}


def explain_error(error: dict) -> tuple[str, str]:
    """Message and hint for an exception in the student's code, from the child's description of it."""
    kind, text = error["kind"], error["text"]
    where = f"submission.py, line {error['line']}" if error["line"] else "submission.py"
    known = next((hint for part, hint in HINTS_BY_TEXT.items() if re.search(part, f"{error['type']}: {text}")), "")
    if kind == "not_attempted":
        return f"not attempted: {where}: {text}", "fill in the region, remove its `raise`, and run this again"
    if kind == "syntax":
        return f"{where}: syntax error: {text}", known or "Python cannot read the file: fix that line or the one before"
    if kind == "missing":
        return f"submission.py: {text}", known or "keep the names of classes, methods and functions as they came"
    message = f"{where}: {error['type']}: {text}" if text else f"{where}: {error['type']}"
    if kind == "import":
        return message, "use numpy, scipy, scikit-learn and Pillow, and keep all your own code in this one file"
    if trace := error["trace"].rstrip():
        message += f"\n{trace}"
    return message, known or "run that line with small arrays and print their shapes"
