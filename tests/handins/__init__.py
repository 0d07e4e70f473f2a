"""The corpus: small hand-ins, each with its expected verdict and points beside it. ``README.md``: how one is written.

    >>> import handins
    >>> case = handins.find("wrong/e_pi_forgotten")
    >>> case.expected["e_step"]
    ('WRONG', 5.0)
    >>> source = case.source()          # bytes of a submission.py

Hostile cases must run in the sandbox only. Those of ``correct`` and ``wrong`` are harmless.
"""

import ast
import functools
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from staff.handout import strip_solution

HERE = Path(__file__).resolve().parent
SOLVED = HERE.parent.parent / "submission.py"
FAMILIES = ("correct", "wrong", "hostile")
POINTS = {"e_step": 10.0, "m_step": 10.0, "pca_fit": 8.0, "sample_from_gmm": 7.0}
REGIONS = {"e_step": "1.1 E-step", "m_step": "1.2 M-step", "pca_fit": "2.1 PCA", "sample_from_gmm": "5.1 sampling"}
VERDICTS = {"PASS", "WRONG", "ERROR", "TIMEOUT", "MEMORY", "CRASH"}
KEYS = {"expect", "needs", "base", "encoding", "newline"}
SECTIONS = {"first", "top", "end", "whole", *REGIONS.values()}
_TRICK = re.compile(r"^# BEGIN_TRICK\n(.*?)^# END_TRICK\n", re.M | re.S)
NOWHERE = Path(tempfile.gettempdir()) / "no such folder of the corpus"


@dataclass(frozen=True)
class Case:
    """One hand-in.

    Attributes:
        name: family and file, such as ``wrong/e_pi_forgotten``.
        about: one line that says what it is.
        settings: the other lines of the header, by key.
        sections: the code, by the place where it goes.
        expected: verdict and points of each question.
    """

    name: str
    about: str
    settings: dict[str, list[str]]
    sections: dict[str, str]
    expected: dict[str, tuple[str, float]]

    @property
    def family(self) -> str:
        return self.name.split("/")[0]

    @property
    def needs(self) -> str:
        """What the verdict holds under only: ``bubblewrap``, ``no privileges``, or nothing."""
        return " ".join(self.settings.get("needs", []))

    @property
    def has_trick(self) -> bool:
        return any(_TRICK.search(code) for code in self.sections.values())

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
            twin: leave out what stands between BEGIN_TRICK and END_TRICK.
            outside: the folder that ``@OUTSIDE@`` stands for, something the hand-in has no business in.
            port: the port of the loopback address that ``@PORT@`` stands for.
        """
        places = {"@OUTSIDE@": Path(outside).as_posix(), "@PORT@": str(port)}
        sections = {}
        for name, code in self.sections.items():
            for mark, value in places.items():
                code = code.replace(mark, value)
            sections[name] = _TRICK.sub("" if twin else r"\1", code)
        text = sections["whole"] if "whole" in sections else _base(*self.settings.get("base", []))
        for label in REGIONS.values():
            if label in sections:
                text = _fill(text, label, sections[label])
        if "top" in sections:
            text = _after_imports(text, sections["top"])
        text = sections.get("first", "") + text
        if "end" in sections:
            text += "\n\n" + sections["end"]
        return self._bytes(text)

    def _bytes(self, text: str) -> bytes:
        (newline,) = self.settings.get("newline", ["lf"])
        text = {
            "lf": lambda: text,
            "crlf": lambda: text.replace("\n", "\r\n"),
            "cr": lambda: text.replace("\n", "\r"),
            "none at the end": lambda: text.rstrip("\n"),
        }[newline]()
        (encoding,) = self.settings.get("encoding", ["utf-8"])
        return text.encode(encoding)


def read(path: Path) -> Case:
    """Read a case's file.

    Raises:
        ValueError: it is not of the form that README.md describes.
    """
    name = f"{path.parent.name}/{path.stem}"
    header, *parts = re.split(r"^# === (.+)\n", path.read_text(encoding="utf-8"), flags=re.M)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    if not set(sections) <= SECTIONS or len(sections) < len(parts) // 2:
        raise ValueError(f"{name}: sections must be some of {sorted(SECTIONS)}, each once")
    about, *lines = header.strip().splitlines()
    settings: dict[str, list[str]] = {}
    for line in lines:
        key, found, value = line.removeprefix("# ").partition(": ")
        if not found or key not in KEYS:
            raise ValueError(f"{name}: {line!r} is no line of a header")
        settings.setdefault(key, []).append(value.strip())
    expected = {question: ("PASS", points) for question, points in POINTS.items()}
    for line in settings.get("expect", []):
        question, verdict, points = line.split()
        if verdict not in VERDICTS or question not in {*POINTS, "all"}:
            raise ValueError(f"{name}: {line!r} is no expectation")
        expected |= {q: (verdict, float(points)) for q in POINTS if question in ("all", q)}
    return Case(name, about.removeprefix("# "), settings, sections, expected)


@functools.cache
def every(*families: str) -> list[Case]:
    """The cases of some families, or of all, in alphabetical order."""
    return [read(path) for family in families or FAMILIES for path in sorted((HERE / family).glob("*.py"))]


def find(name: str) -> Case:
    """The case ``family/file``."""
    return read(HERE / f"{name}.py")


@functools.cache
def _base(kind: str = "solved") -> str:
    """What the sections are put into: the solved submission.py, or the skeleton that students get."""
    text = SOLVED.read_text(encoding="utf-8")
    return {"solved": lambda: text, "skeleton": lambda: strip_solution(text, "submission.py")[0]}[kind]()


def _fill(text: str, label: str, code: str) -> str:
    """Put code into a region; a line ``# SOLUTION`` stands for what was there."""
    region = re.search(rf"^( *)# BEGIN_YOUR_CODE {re.escape(label)}\n(.*?)^ *# END_YOUR_CODE\n", text, re.M | re.S)
    indent, solution = region[1], region[2]
    lines = [
        solution if line == "# SOLUTION" else indent + line + "\n" if line.strip() else "\n"
        for line in code.splitlines()
    ]
    return text[: region.start(2)] + "".join(lines) + text[region.end(2) :]


def _after_imports(text: str, code: str) -> str:
    imports = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    lines = text.splitlines(keepends=True)
    at = imports[-1].end_lineno
    return "".join([*lines[:at], code, *lines[at:]])
