"""The points that are given by hand, and for what: a lab's rubric, a YAML list of items ``{id, part, points, text}``.

``staff/rubric.yaml`` is the main lab's and says what the fields mean; ``labs/NAME/rubric.yaml`` is a companion lab's. A
lab without one has no points by hand. A class may have its own, ``OUT_DIR/rubric.yaml``.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from hi_mnist.text import one_line
from labs import catalog
from staff import tables
from staff.gradebook import questions

NAME = "rubric.yaml"
FIELDS = {"id", "part", "points", "text"}
# Columns of marks.csv, and what the rows of final.csv hold besides the points of a part.
TAKEN = ["student_id", "hand_in", "name", "marker", "status", "comment", "comment_ids", "auto_score", "report_score"]
TAKEN += ["late", "penalty", "total", "undecided", "markers", "difference", "note", "marks", "items"]
TAKEN += ["look", "email", "section"]
_ID = re.compile(r"(?!\d)[\w.-]{1,40}")


@dataclass(frozen=True)
class Item:
    """``points`` for what ``text`` says; ``comments`` are ready ones by id."""

    id: str
    part: str
    points: float
    text: str
    comments: dict[str, str]


class Rubric(dict[str, list[Item]]):
    """The items by part of the report, in order; empty if nothing is marked by hand."""

    def points(self) -> dict[str, float]:
        """The points by part."""
        return {part: sum(item.points for item in items) for part, items in self.items()}

    def most(self) -> dict[str, float]:
        """The points by column of marks.csv: each part, and its items after it."""
        found = {}
        for part, items in self.items():
            found |= {part: self.points()[part]} | {item.id: item.points for item in items}
        return found

    def comments(self) -> dict[str, str]:
        return {name: text for items in self.values() for item in items for name, text in item.comments.items()}


def parts(lab: str, out: Path | None = None) -> dict[str, float]:
    """The points that are given by hand, by part; ``out`` is the class's folder."""
    return load(lab, out).points()


def load(lab: str, out: Path | None = None) -> Rubric:
    """The class's own rubric, in its folder ``out``, or else the lab's; errors as in ``read``."""
    folder = ROOT / "staff" if lab == catalog.MAIN else ROOT / "labs" / lab
    kept = (path for path in (out and out / NAME, folder / NAME) if path and path.is_file())
    path = next(kept, None)
    return read(path, lab) if path else Rubric()


def read(path: Path, lab: str) -> Rubric:
    """Read a rubric that a person wrote. LabError names the line or the item, and what is wrong with it."""
    try:
        entries = yaml.safe_load(path.read_bytes())
        if not isinstance(entries, list) or not entries:
            raise ValueError(f"it is no list of items; write it as staff/{NAME}")
        rubric = Rubric()
        for number, entry in enumerate(entries, start=1):
            item = _item(entry, f"item {number}")
            rubric.setdefault(item.part, []).append(item)
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}; name a rubric in YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that there is not is a ValueError
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise LabError(f"{path}{where}: {one_line(getattr(error, 'problem', error))}; mend it there") from None
    # The only item of a part may have its name.
    ids = [item.id for part, items in rubric.items() for item in items if not (item.id == part and len(items) == 1)]
    names = Counter([*ids, *rubric, *TAKEN, *questions(lab)])
    ready = Counter(name for items in rubric.values() for item in items for name in item.comments)
    if twice := [name for counter in (names, ready) for name, count in counter.items() if count > 1]:
        raise LabError(f"{path}: {', '.join(twice)}: there is a column or a comment of this name already; rename it")
    return rubric


def _item(entry: object, where: str) -> Item:
    """An item as it was read; a ``ValueError`` says what is wrong."""
    if not isinstance(entry, dict) or not FIELDS <= entry.keys() <= FIELDS | {"comments"}:
        found = ", ".join(map(str, entry)) if isinstance(entry, dict) else entry
        raise ValueError(f"{where} needs id, part, points and text, and may have comments; it has: {found}")
    name, part, points, text = (entry[key] for key in ("id", "part", "points", "text"))
    if not isinstance(comments := entry.get("comments") or {}, dict):
        raise ValueError(f"{where}: comments is {comments!r}, not ready comments by id")
    for one in (name, part, *comments):
        if not isinstance(one, str) or not _ID.fullmatch(one):
            raise ValueError(f"{where}: {one!r} is no name; use letters, digits and _, a letter first")
    for one in (text, *comments.values()):
        if not isinstance(one, str) or not one.strip():
            raise ValueError(f"{where}: {one!r} is not text; put it in quotes")
    if type(points) not in (int, float) or not 0 < points <= 1000:  # NaN is not, either
        raise ValueError(f"{where}: points: {points!r} is not a number of points above 0")
    ready = {tables.key(key): one_line(value, 2000) for key, value in comments.items()}
    return Item(tables.key(name), tables.key(part), points, one_line(text, 2000), ready)
