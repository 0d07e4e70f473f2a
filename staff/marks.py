"""marks.csv: what people give by hand, a row for each student and marker, made into one decision for each hand-in.

Points stand in the column of a question, of a part of the report, or of an item of its rubric. If several markers
filled a column, their mean counts, and ``difference`` in final.csv tells by how much they differ.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from hi_mnist.cli import LabError
from staff import tables
from staff.gradebook import Graded, Row, given, in_order, questions, total
from staff.rubric import Rubric

TEMPLATE = "marks_template.csv"
OTHERS = ["status", "comment", "comment_ids", "marker"]
TICKS = {"x", "\u2713", "\u2714", "\u221a", "\u2611"}  # full points


@dataclass
class Marks:
    """What one marker gave in a row, or what all that did so come to."""

    points: dict[str, float | None] = field(default_factory=dict)  # by column; None for what is open
    settled: bool = False  # whether somebody has looked at a REVIEW row
    comment: str = ""
    marker: str = ""
    line: str = ""
    apart: dict[str, str] = field(default_factory=dict)  # by how much markers differ, by column where they do


def called(row: dict) -> str:
    """The name by which a row of the gradebook has its marks: of who handed in nothing, one that no file can have."""
    return row["hand_in"] or f"absent/{row['student_id']}"


def write_template(out: Path, lab: str, rubric: Rubric, rows: list[Row]) -> list[str]:
    """Write ``marks_template.csv``, or return a note that it is filled in already, and so left alone.

    It has a line for each student, and a column for each question that is still open for anyone.
    """
    path, names = out / TEMPLATE, ["hand_in", "student_id", "name"]
    try:
        lines = [row.cells for row in tables.read(path, names, None)[0]]
        filled = any(text for cells in lines for name, text in cells.items() if name not in names)
    except LabError:  # missing, or not in the form that we write
        filled = path.exists()
    if filled:
        return [f"{TEMPLATE} is filled in and was left as it is; add late hand-ins to it by hand"]
    lines = {}
    for row in in_order(rows):
        if row.record:  # two hand-ins of one id have one line
            lines.setdefault((bool(row.student_id), tables.key(row.student_id or row.hand_in)), row.cells())
    open_questions = [name for name in questions(lab) if any(cells[name] is None for cells in lines.values())]
    columns = [*names, *rubric.most(), *open_questions, *OTHERS]
    empty = dict.fromkeys(columns)
    tables.write(path, columns, [empty | {name: cells[name] for name in names} for cells in lines.values()])
    return []


def read(path: Path, graded: Graded, rubric: Rubric) -> tuple[dict[str, Marks], list[str]]:
    """The marks by ``called``, and notes on the file. LabError names lines and columns.

    A row unknown to the gradebook is left out if it gives no points: that student did not hand in anything.
    """
    most = rubric.most() | {name: q.points for name, q in questions(graded.lab).items()}
    rows, notes = tables.read(path, ["student_id"], [*most, *OTHERS])
    by_marker: dict[str, list[tables.Row]] = {}
    for row in rows:
        by_marker.setdefault(tables.key(row.cells.get("marker", "")), []).append(row)
    found, errors, absent = {}, [], {}
    for its_rows in by_marker.values():
        meant_by, changed = tables.whose(its_rows, [(row["student_id"], called(row)) for row in graded.rows])
        notes += [note for note in changed if note not in notes]
        for row, meant, wrong in meant_by:
            shown = row.cells["student_id"] or row.cells.get("hand_in", "")
            if shown and not meant and not any(row.cells.get(name) for name in (*most, "status")):
                absent[shown] = row
                continue
            marks, faults = (Marks(), [wrong]) if wrong else _marks(row, rubric, most)
            if not wrong and any(not (marks.marker and one.marker) for name in meant for one in found.get(name, [])):
                faults.append(f"line {row.line}, column marker: the student has another row; name the marker in both")
            errors += [(row.line, fault) for fault in faults]
            for name in meant:
                found.setdefault(name, []).append(marks)
    tables.refuse(path, [told for _, told in sorted(errors)])
    if absent:
        notes.append(f"not in the gradebook and without marks, left out: {', '.join(absent)}")
    return {name: together(several, rubric, most) for name, several in found.items()}, notes


def _marks(row: tables.Row, rubric: Rubric, most: dict[str, float]) -> tuple[Marks, list[str]]:
    """What a row gives, and what is wrong with its cells."""
    points, faults, by_hand, ready = dict.fromkeys(most), [], rubric.most(), rubric.comments()
    for column, largest in most.items():
        cell = row.cells.get(column, "")
        tick = column in by_hand and tables.narrow(cell).casefold().strip("\ufe0f") in TICKS
        try:
            points[column] = largest if tick else number(cell, largest)
        except ValueError as error:
            faults.append(f"column {column}: {error}")
    for part, items in rubric.items():
        its = [points[item.id] for item in items]
        if None not in its:
            part_given, points[part] = points[part], total(its)
            if part_given not in (None, points[part]):
                told = f"{given(part_given)}, but its items make {given(points[part])}"
                faults.append(f"column {part}: {told}; leave one of the two empty")
    status = row.cells.get("status", "").upper()
    if status not in ("", "OK"):
        faults.append(f"column status: {status!r} is neither OK nor empty")
    ids = re.findall(r"[\w.-]+", tables.key(row.cells.get("comment_ids", "")))
    if unknown := [name for name in ids if name not in ready]:
        faults.append(f"column comment_ids: {unknown[0]!r} is none of the rubric's: {', '.join(ready)}")
    comment = "\n".join([*(ready[name] for name in ids if name in ready), row.cells.get("comment", "")])
    marks = Marks(points, status == "OK", comment.strip("\n"), row.cells.get("marker", ""), str(row.line))
    return marks, [f"line {row.line}, {fault}" for fault in faults]


def number(text: str, largest: float) -> float | None:
    """A cell's points, None if it is empty; a ``ValueError`` names what people do not write, such as 1_0 and 1e1."""
    if not text:
        return None
    narrow = tables.narrow(text)
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", narrow):
        raise ValueError(f"{text[:40]!r} is not a number")
    if not 0 <= float(narrow) <= largest:
        raise ValueError(f"{text[:40]} is not between 0 and {given(largest)}")
    return abs(float(narrow))  # not -0


def together(several: list[Marks], rubric: Rubric, most: dict[str, float]) -> Marks:
    """What all markers of a student come to: in each column the mean of what they gave."""
    comment = "\n".join(dict.fromkeys(line for one in several for line in one.comment.splitlines()))
    markers, lines = (", ".join(filter(None, (getattr(one, name) for one in several))) for name in ("marker", "line"))
    marks = Marks({}, any(one.settled for one in several), comment, markers, lines)
    for column in most:
        gave = {one.marker: one.points[column] for one in several if one.points[column] is not None}
        marks.points[column] = round(mean(gave.values()), 4) if gave else None
        if differ := max(gave.values(), default=0) - min(gave.values(), default=0):
            each = ", ".join(f"{marker} {given(points)}" for marker, points in gave.items())
            marks.apart[column] = f"{column} differs by {given(differ)} ({each})"
    for part, items in rubric.items():
        its = [marks.points[item.id] for item in items]
        if marks.points[part] is None and None not in its:  # among markers, each with some of its items
            marks.points[part] = total(its)
    return marks
