"""The final gradebook: the graded points, the 30 points of the report, and the decisions made by hand."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hi_mnist import files
from hi_mnist.cli import LabError
from labs import catalog
from staff import gradebook, tables
from staff.gradebook import FEEDBACK, Row, auto_points, block, feedback_folder, given, in_order, questions, total

FINAL = "## Final"
TEMPLATE = "marks_template.csv"
REPORT = {"log": 2, "tuning": 5, "results": 2, "questions": 20, "feedback": 1}


def report(lab: str) -> dict[str, int]:
    """The points that are given by hand, by part."""
    return REPORT if lab == catalog.MAIN else {}


def final_columns(lab: str) -> list[str]:
    """The columns of ``final.csv``."""
    given_by_hand = [*report(lab), "report_score", "total", "undecided", "comment", "note"]
    return ["student_id", "name", "hand_in", *questions(lab), "auto_score", *given_by_hand]


@dataclass
class Marks:
    """A line of marks.csv: points by column (None for an empty cell), ``status`` and ``comment``."""

    points: dict[str, float | None] = field(default_factory=dict)
    settled: bool = False
    comment: str = ""


def merge(out: Path, marks_path: Path) -> tuple[list[dict], list[str]]:
    """Write ``final.csv`` from the gradebook and the marks, which are only read, and add it to the feedback.

    Returns:
        the rows of the final gradebook, and notes on how the tables were read.

    Raises:
        LabError: grading is not finished, or the marks cannot be read; names line and column.
    """
    graded = gradebook.load(out)
    if missing := graded.missing:
        raise LabError(f"{missing} hand-in{' is' if missing == 1 else 's are'} not graded yet; finish with --resume")
    marks, notes = read_marks(marks_path, graded)
    ids = Counter(row["student_id"].casefold() for row in graded.rows if row["student_id"])
    rows = []
    for row in graded.rows:
        twice = ids[row["student_id"].casefold()] > 1
        rows.append(_final(graded.lab, row, marks.get(called(row), Marks()), twice))
    told = filter(None, (_told(out, graded.lab, row) for row in rows))
    told = dict(told)  # all of it first, so that nothing is half-written
    tables.write(out / "final.csv", final_columns(graded.lab), rows)
    for path, text in told.items():
        files.write_text(path, text)
    return rows, notes


def called(row: dict) -> str:
    """The name of a row: the hand-in's, or that of an absent student."""
    return row["hand_in"] or row["student_id"]


def write_template(out: Path, lab: str, rows: list[Row]) -> list[str]:
    """Write ``marks_template.csv``: a line for each student, a column for each question that is still open for anyone.

    Returns:
        notes; one if the template was filled in already, and so left alone.
    """
    path, names = out / TEMPLATE, ["hand_in", "student_id", "name"]
    try:
        known = [*report(lab), *questions(lab), "status", "comment"]
        written = tables.read(path, ["student_id"], known)[0] if path.exists() else []
        filled = any(text for row in written for name, text in row.cells.items() if name not in names)
    except LabError:  # not in the form that we write
        filled = True
    if filled:
        return [f"{TEMPLATE} is filled in and was left as it is; add late hand-ins to it by hand"]
    lines: dict[tuple[bool, str], dict] = {}
    for row in in_order(rows):
        if row.record:  # two hand-ins of one id have one line
            lines.setdefault((bool(row.student_id), tables.key(row.student_id or row.hand_in)), row.cells())
    open_questions = [name for name in questions(lab) if any(cells[name] is None for cells in lines.values())]
    columns = [*names, *report(lab), *open_questions, "status", "comment"]
    empty = dict.fromkeys(columns)
    tables.write(path, columns, [empty | {name: cells[name] for name in names} for cells in lines.values()])
    return []


def read_marks(path: Path, graded: gradebook.Graded) -> tuple[dict[str, Marks], list[str]]:
    """The marks by hand-in, and notes on the file.

    ``tables.whose`` says which hand-ins a row means. A row unknown to the gradebook is left out if it gives no points:
    that student did not hand in anything.
    """
    by_hand, asked = report(graded.lab), questions(graded.lab)
    rows, notes = tables.read(path, ["student_id", *by_hand], [*asked, "status", "comment"])
    found, changed = tables.whose(rows, [(row["student_id"], called(row)) for row in graded.rows])
    most = by_hand | {name: q.points for name, q in asked.items()}
    marks, errors, absent = {}, [], []
    for row, meant, wrong in found:
        shown = row.cells["student_id"] or row.cells.get("hand_in", "")
        if shown and not meant and not any(row.cells.get(name) for name in (*most, "status")):
            absent.append(shown)
            continue
        if wrong:
            errors.append(wrong)
            continue
        points = {}
        for column, largest in most.items():
            try:
                points[column] = number(row.cells.get(column, ""), largest)
            except ValueError as error:
                errors.append(f"line {row.line}, column {column}: {error}")
        status = row.cells.get("status", "").upper()
        if status not in ("", "OK"):
            errors.append(f"line {row.line}, column status: {status!r} is neither OK nor empty")
        marks |= dict.fromkeys(meant, Marks(points, status == "OK", row.cells.get("comment", "")))
    tables.refuse(path, errors)
    if absent:
        notes.append(f"not in the gradebook and without marks, left out: {', '.join(absent)}")
    return marks, notes + changed


def number(text: str, largest: float) -> float | None:
    """A cell's points, None if it is empty; a ``ValueError`` names the value and the allowed range.

    Digits may be wide. What Python reads as a number but people do not write (1_0, 1e1, nan) is refused.
    """
    if not text:
        return None
    narrow = tables.narrow(text)
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", narrow):
        raise ValueError(f"{text[:40]!r} is not a number")
    if not 0 <= float(narrow) <= largest:
        raise ValueError(f"{text[:40]} is not between 0 and {largest}")
    return abs(float(narrow))  # not -0


def _final(lab: str, row: dict, marks: Marks, twice: bool) -> dict:
    final = {name: row[name] for name in ("student_id", "name", "hand_in")}
    undecided, notes = [], [row["note"]] if row["note"] else []
    asked, by_hand = questions(lab), report(lab)
    for name in [*asked, *by_hand]:
        graded = row.get(name)
        final[name] = graded if marks.points.get(name) is None else marks.points[name]
        if final[name] is None:
            undecided.append(name)
        elif name in asked and final[name] != graded:
            notes.append(f"{name} by hand, graded {given(graded)}")
    if twice:
        undecided.append("two hand-ins for one id")
    elif row["look"] and not marks.settled:
        undecided.append("status")
    for score, names in (("auto_score", asked), ("report_score", by_hand)):
        final[score] = total(final[name] for name in names)
    final["total"] = None if undecided else total((final["auto_score"], final["report_score"]))
    if not row["hand_in"] and len(undecided) == len(asked) + len(by_hand):
        undecided = []  # nobody marks who is absent
    return final | {"undecided": ", ".join(undecided), "comment": marks.comment, "note": "; ".join(notes)}


def _told(out: Path, lab: str, row: dict) -> tuple[Path, str] | None:
    """The student's feedback.md with the final points at its head and end; None if it was removed."""
    path = feedback_folder(out, row["hand_in"]) / FEEDBACK[0]
    try:
        graded = path.read_text(encoding="utf-8").partition(f"\n{FINAL}\n")[0]  # what a student wrote is indented
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise LabError(f"{path} is not UTF-8; grade with --resume, which writes it again, and merge") from None
    head, section, rest = graded.partition("\n## ")
    asked, by_hand, auto = questions(lab), report(lab), auto_points(lab)
    most = auto + sum(by_hand.values())
    for name, q in asked.items():
        head = re.sub(rf"(?m)^\| {re.escape(q.label)} \| \S+", f"| {q.label} | {given(row[name])}", head)
    sums = f"| sum | {given(row['auto_score'])} / {auto} | |\n"
    sums += f"| with the report | {given(row['total'])} / {most} | |\n" if by_hand else ""
    graded = re.sub(r"(?m)^\| sum \|.*\n(\| with .*\n)?", sums, head) + section + rest
    parts = [(name, q.label, q.points) for name, q in asked.items()]
    parts += [(name, f"report: {name}", points) for name, points in by_hand.items()]
    parts.append(("total", "total", most))
    lines = [FINAL, "", "| part | points |", "| --- | ---: |"]
    lines += [f"| {label} | {given(row[name])} / {points} |" for name, label, points in parts]
    lines += ["", *block(row["comment"])]
    return path, graded.rstrip() + "\n\n" + "\n".join(lines).rstrip() + "\n"
