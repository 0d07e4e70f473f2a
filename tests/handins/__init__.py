"""The corpus: small hand-ins, each with its expected verdict and points beside it. ``README.md``: how one is written.

    >>> import handins
    >>> case = handins.find("wrong/e_pi_forgotten")
    >>> case.expected["e_step"]
    ('WRONG', 5.0)
    >>> source = case.source()          # bytes of a submission.py

Hostile cases must run in the sandbox only. Those of ``correct`` and ``wrong`` are harmless.
"""

import ast
import contextlib
import functools
import io
import random
import re
import sys
import tempfile
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

import sandbox
from grading import checks
from sandbox import worker
from staff.handout import strip_solution

HERE = Path(__file__).resolve().parent
SOLVED = HERE.parent.parent / "submission.py"
FAMILIES = ("correct", "wrong", "hostile")
POINTS = {"e_step": 10.0, "m_step": 10.0, "pca_fit": 8.0, "sample_from_gmm": 7.0}
REGIONS = {"e_step": "1.1 E-step", "m_step": "1.2 M-step", "pca_fit": "2.1 PCA", "sample_from_gmm": "5.1 sampling"}
# What ``# ZEROS`` stands for: answers of the right shapes that are worth nothing.
ZEROS = {
    "1.1 E-step": "return np.zeros((len(X), self.n_components))",
    "1.2 M-step": "self.pi, self.means, self.covs = self.pi * 0, self.means * 0, self.covs * 0",
    "2.1 PCA": "self.mean, self.components = np.zeros(X.shape[1]), np.zeros((self.dim, X.shape[1]))",
    "5.1 sampling": "pass",
}
VERDICTS = {"PASS", "WRONG", "ERROR", "TIMEOUT", "MEMORY", "CRASH"}
SECTIONS = {"first", "top", "end", "whole", *ZEROS}
NOWHERE = Path(tempfile.gettempdir()) / "no such folder of the corpus"
_CASE = re.compile(r"^# ------ (\w+)(?: \[(.+?)\])?: (.+)\n", re.M)
_SETTING = re.compile(r"# (needs|base|encoding|newline): (.+)\n")
_SECTION = re.compile(r"^# === (.+)\n", re.M)
_HONEST = re.compile(r"^# (HONEST|SOLUTION|ZEROS)\n", re.M)
_COMMON = re.compile(r"^# COMMON(?:: (.+) -> (.+))?\n", re.M)


@dataclass(frozen=True)
class Case:
    """One hand-in."""

    name: str  # family and case, such as ``wrong/e_pi_forgotten``
    about: str  # one line that says what it is
    settings: dict[str, str]  # the other lines of its header, by key
    sections: dict[str, str]  # the code, by the place where it goes
    expected: dict[str, tuple[str, float]]  # verdict and points of each question
    says: list[str]  # words that message and hint of each question with lost points must hold

    @property
    def family(self) -> str:
        return self.name.split("/")[0]

    @property
    def needs(self) -> str:
        """What the verdict holds under only: ``bubblewrap``, or nothing."""
        return self.settings.get("needs", "")

    @property
    def touched(self) -> list[str]:
        """The questions that this case can make a difference to."""
        if not set(self.sections) <= set(REGIONS.values()) or not self.sections:
            return list(POINTS)
        named = {name for name, expected in self.expected.items() if expected != ("PASS", POINTS[name])}
        return [name for name in POINTS if REGIONS[name] in self.sections or name in named]

    def source(self, twin: bool = False, outside: Path = NOWHERE, port: int = 9) -> bytes:
        """The submission.py.

        Args:
            twin: the honest twin, without the trick.
            outside: the folder that ``@OUTSIDE@`` stands for, something the hand-in has no business in.
            port: the port of the loopback address that ``@PORT@`` stands for.
        """
        sections = {}
        for name, code in self.sections.items():
            code = code.replace("@OUTSIDE@", Path(outside).as_posix()).replace("@PORT@", str(port))
            honest = _HONEST.search(code)
            sections[name] = code if not twin else code[honest.start() :] if honest else ""
        text = sections["whole"] if "whole" in sections else _base(self.settings.get("base", "solved"))
        for label in REGIONS.values():
            if label in sections:
                text = _fill(text, label, sections[label])
        if "top" in sections:
            text = _after_imports(text, sections["top"])
        text = sections.get("first", "") + text
        if "end" in sections:
            text += "\n\n" + sections["end"]
        newline = {"crlf": "\r\n", "cr": "\r"}.get(self.settings.get("newline"), "\n")
        return text.replace("\n", newline).encode(self.settings.get("encoding", "utf-8"))


def read(path: Path) -> list[Case]:
    """The cases of one file.

    Raises:
        ValueError: it is not of the form that README.md describes.
    """
    asked = path.stem if path.stem in POINTS else "e_step"
    common, *parts = _CASE.split(path.read_text(encoding="utf-8"))
    cases = []

    def from_common(mark: re.Match) -> str:
        if mark[1] and mark[1] not in common:
            raise ValueError(f"{path.name}: {mark[1]!r} is not above the first case")
        return common.replace(mark[1], mark[2]) if mark[1] else common

    for name, expectations, about, code in zip(*(parts[i::4] for i in range(4)), strict=True):
        name, code, settings = f"{path.parent.name}/{name}", _COMMON.sub(from_common, code), {}
        while setting := _SETTING.match(code):
            settings[setting[1]], code = setting[2], code[setting.end() :]
        first, *others = _SECTION.split(code)
        sections = {REGIONS[asked]: first} if first else {}
        sections |= dict(zip(others[::2], others[1::2], strict=True))
        if not set(sections) <= SECTIONS or len(sections) < bool(first) + len(others) // 2:
            raise ValueError(f"{name}: sections must be some of {sorted(SECTIONS)}, each once")
        expected = {question: ("PASS", points) for question, points in POINTS.items()}
        expectations, *says = f", {expectations or ''}".split(", says ")
        for expectation in filter(None, expectations.split(", ")):
            *question, verdict, points = expectation.split()
            (question,) = question or [asked]
            if verdict not in VERDICTS or question not in {*POINTS, "all"}:
                raise ValueError(f"{name}: {expectation!r} is not an expectation")
            expected |= {q: (verdict, float(points)) for q in POINTS if question in ("all", q)}
        cases.append(Case(name, about, settings, sections, expected, says))
    return cases


@functools.cache
def every(*families: str) -> list[Case]:
    """The cases of some families, or of all, in alphabetical order of their files."""
    paths = [path for family in families or FAMILIES for path in sorted((HERE / family).glob("*.py"))]
    return [case for path in paths for case in read(path)]


def find(name: str) -> Case:
    """The case ``family/name``."""
    return next(case for case in every() if case.name == name)


def answered(source: bytes, question: str, folder: Path, seed: int = 0) -> dict:
    """The entry of a harmless source for a question, asked in this process; the next one feels nothing of it.

    Args:
        folder: the working folder.
        seed: of the question's numbers and of all generators.
    """
    inputs, entropy, depth = checks.make_inputs(question, seed), random._urandom, sys.getrecursionlimit()
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.chdir(folder))
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            nobody = {"stdin": io.StringIO(), "breakpointhook": mock.Mock(side_effect=EOFError)}
            for settings in (mock.patch.multiple(sys, **nobody), np.errstate(), np.printoptions()):
                stack.enter_context(settings)
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            worker.seed_everything(seed)
            outcome = sandbox.Outcome("done", worker.answer(question, worker.load(source), inputs, {}))
    except Exception as error:
        outcome = sandbox.Outcome("raised", getattr(error, "answers", {}), worker.describe(error) | {"trace": ""})
    finally:
        random._urandom = entropy  # which worker.seed_everything replaces
        sys.setrecursionlimit(depth)
    return checks.judged(question, inputs, outcome)


@functools.cache
def _base(kind: str) -> str:
    """What the sections are put into: the solved submission.py, or the skeleton that students get."""
    text = SOLVED.read_text(encoding="utf-8")
    return strip_solution(text, "submission.py")[0] if kind == "skeleton" else text


def _fill(text: str, label: str, code: str) -> str:
    """Put code into a region; a line ``# SOLUTION`` stands for what was there, at that line's own depth."""
    region = re.search(rf"^( *)# BEGIN_YOUR_CODE {re.escape(label)}\n(.*?)^ *# END_YOUR_CODE\n", text, re.M | re.S)
    solution = textwrap.dedent(region[2])
    code = re.sub(r"^( *)# SOLUTION\n", lambda mark: textwrap.indent(solution, mark[1]), code, flags=re.M)
    code = code.replace("# ZEROS\n", ZEROS[label] + "\n")
    return text[: region.start(2)] + textwrap.indent(code, region[1]) + text[region.end(2) :]


def _after_imports(text: str, code: str) -> str:
    imports = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    lines = text.splitlines(keepends=True)
    at = imports[-1].end_lineno
    return "".join([*lines[:at], code, *lines[at:]])
