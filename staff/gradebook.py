"""The records of hand-ins, and the gradebook that is made of them; ``staff.pages`` makes what is read in a browser.

A record is written as soon as its hand-in is graded. Everything else is made again from all records, in a fixed
order, so it does not depend on the order of grading, the number of processes or interruptions.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from grading.questions.common import Question
from grading.scores import PERFORMANCE_POINTS, SAMPLE_INDEX_POINTS
from hi_mnist import files
from hi_mnist.cli import LabError
from labs import catalog
from staff import tables

RUN_QUESTIONS = {  # of the main lab: on the run that was handed in
    "sample_index": Question('6 the cluster of "6"', SAMPLE_INDEX_POINTS, None, None),
    "performance": Question("6 Performance", PERFORMANCE_POINTS, None, None),
}
UNDECIDED = ("REVIEW", "INTERNAL", "SKIPPED")  # verdicts without points: a person fills in these cells
STATUSES = ("OK", "SKIPPED", "REVIEW", "REPLACED", "ABSENT")
EXTRA = {"email": "", "section": "", "late": "", "penalty": 0.0}  # what a row has of the roster and the deadline
GRADEBOOK = "gradebook.json"  # what later commands read
LOCK = "lock.json"  # while the class is graded or merged


def questions(lab: str) -> dict[str, Question]:
    """All questions of a lab that the programs answer, by id: on the code, and of the main lab on the run."""
    return catalog.load(lab).questions | (RUN_QUESTIONS if lab == catalog.MAIN else {})


def columns(lab: str, extra: Container[str] = ()) -> list[str]:
    """The columns of ``gradebook.csv``; ``extra`` names those of the roster and the deadline that it has."""
    names = ["hand_in", "student_id", "name", "section", *questions(lab), "auto_score", "late", "penalty"]
    return [name for name in (*names, "status", "note") if name in extra or name not in EXTRA]


@dataclass
class Graded:
    """A graded class, as ``write`` kept it."""

    lab: str
    rows: list[dict]  # of the gradebook that count, by column, and ``look``: whether a person must look at it
    facts: list[str]
    alike: list[list[str]]
    replaced: list[str]  # hand-ins in whose place others count

    def row(self, student: str) -> dict:
        """The row that an id or a hand-in's name means. LabError if it is not one, or nothing was handed in."""
        key = tables.key(student)
        named = ([row for row in self.rows if tables.key(row[by]) == key] for by in ("hand_in", "student_id") if key)
        meant = next(filter(None, named), [])
        if len(meant) != 1:
            names = ", ".join(row["hand_in"] for row in meant)
            remedy = f"name one of {names}" if meant else "take one from gradebook.csv that is not REPLACED"
            raise LabError(f"{student!r} is {'more than' if meant else 'not'} one graded hand-in's id; {remedy}")
        if not meant[0]["hand_in"]:
            raise LabError(f"{student} handed nothing in; put what there is into the hand-ins' folder and --resume")
        return meant[0]


@dataclass
class Row:
    """A line of the gradebook; ``notes`` and ``review`` concern the class as a whole."""

    hand_in: str  # empty for a student of the roster who handed nothing in
    student_id: str
    name: str
    record: dict | None  # None for a hand-in replaced by another
    notes: list[str] = field(default_factory=list)
    review: list[str] = field(default_factory=list)
    email: str = ""
    section: str = ""
    late: str = ""  # see ``staff.late``
    penalty: float = 0.0  # points

    def status(self) -> str:
        """OK; SKIPPED: some cells must be filled in; REVIEW: look at it; REPLACED: another hand-in counts; ABSENT."""
        if not self.record:
            return "REPLACED" if self.hand_in else "ABSENT"
        verdicts = {q["verdict"] for q in self.record["questions"]}
        if self.review or self.record["review"] or verdicts & {"REVIEW", "INTERNAL"}:
            return "REVIEW"
        return "SKIPPED" if "SKIPPED" in verdicts else "OK"

    def cells(self) -> dict:
        record = self.record or {"questions": [], "notes": [], "review": []}
        points = {q["id"]: decided(q) for q in record["questions"]}
        score = total(points.values()) if self.record else None
        looks, notes = [*record["review"], *sorted(self.review)], [*record["notes"], *sorted(self.notes)]
        note = "; ".join([*looks, *undecided_causes(record), *notes])
        whose = {name: getattr(self, name) for name in ("hand_in", "student_id", "name", *EXTRA)}
        return whose | points | {"auto_score": score, "status": self.status(), "note": note, "look": bool(looks)}


def decided(question: dict) -> float | None:
    """A question's points; None if a person decides."""
    return None if question["verdict"] in UNDECIDED else question["score"]


def total(points: Iterable[float | None]) -> float:
    """The sum of the points, without those that a person decides."""
    return round(sum(p for p in points if p is not None), 4)


def given(points: float | None) -> str:
    """Points as text for people, with two decimals at most."""
    return "open" if points is None else f"{points:.2f}".rstrip("0").rstrip(".")


def undecided_causes(record: dict) -> list[str]:
    """A line for each cause of empty cells, except what ``review`` says already."""
    causes: dict[str, list[str]] = {}
    for q in record["questions"]:
        if q["verdict"] in UNDECIDED and q["message"] not in record["review"]:
            cause = q["message"].partition("\n")[0]
            causes.setdefault(f"{q['verdict']}: {cause}", []).append(q["id"])
    return [f"{', '.join(names)} {cause}" for cause, names in causes.items()]


# --------------------------------------------------------------------------- records


def file_name(hand_in: str) -> str:
    """A file or folder name for a hand-in, valid on any system and different for each hand-in."""
    safe = re.sub(r"[^\w+() -]", "_", hand_in).strip()[:50].rstrip()
    if safe == hand_in and not re.search(r"-[0-9a-f]{8}$", safe):
        return safe
    return f"{safe}-{hashlib.sha256(hand_in.encode()).hexdigest()[:8]}"


def save_record(out: Path, record: dict) -> None:
    """Save a record, and in a folder beside it what its ``files`` are, which are taken out of it."""
    if (kept := record.pop("files", None)) is not None:
        folder = kept_files(out, record["hand_in"])
        files.remove(folder)
        for name, content in kept.items():
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
    files.write_text(out / "records" / f"{file_name(record['hand_in'])}.json", _json(record))


def kept_files(out: Path, hand_in: str) -> Path:
    """The folder of the submission.py and the pictures of a hand-in; missing if there are none."""
    return out / "records" / file_name(hand_in)


def load_record(out: Path, hand_in: str) -> dict | None:
    """The record of a hand-in; None if it is missing or damaged."""
    path = out / "records" / f"{file_name(hand_in)}.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        asked = list(questions(record["settings"].get("lab", catalog.MAIN)))
        return record if record["hand_in"] == hand_in and [q["id"] for q in record["questions"]] == asked else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, LabError):
        return None


def load(out: Path, whole: bool = False) -> Graded:
    """What ``write`` kept. LabError if nothing is graded, or not the ``whole`` class, or the file is damaged."""
    try:
        kept = json.loads((out / GRADEBOOK).read_text(encoding="utf-8"))
        lab = kept.get("lab", catalog.MAIN)
        rows = [EXTRA | row | {name: row[name] for name in (*columns(lab), "look")} for row in kept["rows"]]
        replaced = [row["hand_in"] for row in rows if row["status"] == "REPLACED"]
        rows = [row for row in rows if row["status"] != "REPLACED"]
        if whole and kept["missing"]:
            raise LabError(f"not all hand-ins are graded yet ({kept['missing']} wait); finish with --resume")
        return Graded(lab, rows, kept.get("facts", []), kept.get("alike", []), replaced)
    except FileNotFoundError:
        raise LabError(f"there is no {GRADEBOOK} in {out}; grade the class first, or finish with --resume") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise LabError(f"{out / GRADEBOOK} is damaged or old; grade the class again, with --resume") from None


def _json(content: dict) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


# --------------------------------------------------------------------------- what is written


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.student_id, row.hand_in))


def write(out: Path, lab: str, rows: list[Row], facts: list[str], missing: int = 0, alike: list[tuple] = ()) -> None:
    """Write ``gradebook.csv``, and then ``gradebook.json``, which later commands need.

    ``facts`` are lines for the summary; ``missing`` is how many hand-ins wait; ``alike`` is of ``similar.compare``.
    """
    (out / GRADEBOOK).unlink(missing_ok=True)  # else a killed run would leave an old one
    kept = {"lab": lab, "missing": missing, "rows": write_table(out, lab, rows), "facts": facts, "alike": alike}
    files.write_text(out / GRADEBOOK, _json(kept))


def write_table(out: Path, lab: str, rows: list[Row]) -> list[dict]:
    """Write ``gradebook.csv``, also with the first rows while others are still graded; returns its cells."""
    empty = dict.fromkeys(columns(lab))
    graded = [empty | row.cells() for row in in_order(rows)]
    extra = {name for row in graded for name in EXTRA if row[name] or (name == "penalty" and row["late"])}
    tables.write(out / "gradebook.csv", columns(lab, extra), graded)
    return graded


def counted(statuses: Iterable[str]) -> str:
    """The number of hand-ins by status, and that of absent students."""
    counts = Counter(statuses)
    told = ", ".join(f"{counts[s]} {s}" for s in STATUSES if s in counts)
    return f"{counts.total() - counts['ABSENT']} hand-ins: {told or 'none'}"


def causes(lost: Iterable[tuple[dict, object]]) -> list[tuple[str, list]]:
    """Why points were lost or are open: each check that failed, with all whom it failed for, the most frequent first.

    ``lost`` has each question with whose it is. Messages that differ in numbers only are one cause, with N for those.
    """
    found = {}
    for question, whose in lost:
        verdict, lines = question["verdict"], question["message"].splitlines()
        if verdict == "WRONG":  # a line for each check, with examples below it
            lines = [line for line in lines if not re.match("(input|got|want): ", line)]
        else:
            lines = [] if verdict == "PASS" else [re.sub("^(not attempted): .*", r"\1", "".join(lines[:1]))]
        for line in lines:
            words = re.split(r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)", f"{verdict}: {line[:160]}")
            numbers, its = found.setdefault(tuple(words[::2]), ([], []))
            numbers.append(words[1::2])
            its += [whose] if its[-1:] != [whose] else []
    told = []
    for words, (numbers, its) in found.items():
        same = [one.pop() if len(one) == 1 else "N" for one in map(set, zip(*numbers, strict=True))]
        told.append(("".join(map("".join, zip_longest(words, same, fillvalue=""))), its))
    return sorted(told, key=lambda cause: (-len(cause[1]), cause[0]))
