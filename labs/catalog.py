"""The labs by name: what grading and the staff's programs need to know of each.

A companion lab is a folder in ``labs/`` with ``submission.py``, the solved source; ``tasks.py``, which runs it in the
sandbox; and ``questions.py``, with ``QUESTIONS`` and ``REGIONS``. docs/new_lab.md leads through the making of one.
"""

import functools
import importlib
from dataclasses import dataclass
from pathlib import Path

import sandbox
from grading import checks, table
from grading.questions.common import Question
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT

MAIN = "main"
MAIN_REGIONS = {
    "1.1 E-step": "compute gamma, the probability of each component for each sample",
    "1.2 M-step": "update self.pi, self.means and self.covs from X and gamma",
    "2.1 PCA": "set self.mean and self.components",
    "5.1 sampling": "draw an image from component `label` and save it as gmm_sample.png",
}


@dataclass(frozen=True)
class Lab:
    """A lab."""

    name: str  # of its folder in ``labs/``; ``MAIN`` for the lab at the top
    title: str  # for people
    source: Path  # the solved ``submission.py``
    questions: dict[str, Question]  # on the code, by id
    regions: dict[str, str]  # what is to be done in each region of the student's copy, by label
    tasks: bytes | None = None  # its part of the worker; None for the lab at the top, whose part is the worker's own

    @property
    def points(self) -> int:
        return total_points(self.questions)

    @property
    def limits(self) -> sandbox.Limits | None:
        return checks.LAB_LIMITS if self.tasks else None

    def only(self, name: str | None) -> list[str] | None:
        """The argument ``only`` of ``check_code`` for one question, or for all (None). LabError where it is unknown."""
        if name is not None and name not in self.questions:
            raise LabError(f"--only {name}: this lab's questions are {', '.join(self.questions)}")
        return None if name is None else [name]

    def check(self, source: bytes, **how) -> list[dict]:
        """Check a submission; ``how`` are other arguments of ``checks.check_code``."""
        return checks.check_code(source, questions=self.questions, tasks=self.tasks, limits=self.limits, **how)

    def result(self, source: bytes, only: str | None = None, seed: int = 0) -> dict:
        """What ``python -m grading`` tells of a submission, or of its answer to one question: ``table.summary``."""
        names = self.only(only)
        points = total_points({name: self.questions[name] for name in names or self.questions})
        return table.summary(self.check(source, only=names, seed=seed), points, self.limits) | {"seed": seed}


def total_points(questions: dict[str, Question]) -> int:
    """All points of questions, without those of a bonus."""
    return sum(asked.points for asked in questions.values() if not asked.bonus)


def names() -> list[str]:
    """The names of all labs, the main one first."""
    return [MAIN, *sorted(path.parent.name for path in (ROOT / "labs").glob("*/questions.py"))]


@functools.cache
def load(name: str) -> Lab:
    """A lab by name, read once per process. Raises LabError where there is none."""
    if name == MAIN:
        return Lab(MAIN, "Lab 3", ROOT / "submission.py", checks.QUESTIONS, MAIN_REGIONS)
    if name not in names():
        raise LabError(f"there is no lab {name!r}; known are {', '.join(names())}")
    folder, its = ROOT / "labs" / name, importlib.import_module(f"labs.{name}.questions")
    title, tasks = name.replace("_", " ").capitalize(), (folder / "tasks.py").read_bytes()
    return Lab(name, title, folder / "submission.py", its.QUESTIONS, its.REGIONS, tasks)
