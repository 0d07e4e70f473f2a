"""The final gradebook: the graded points, the points given by hand, and the decisions of people.

A question's points are those of marks.csv if it gives any, else the graded ones; a part of the report has those of
marks.csv. The total is their sum less the penalty for late work, never below 0. What is open leaves no total.
"""

from collections import Counter
from pathlib import Path

from hi_mnist.cli import LabError
from staff import audit, gradebook, marks, pages, rubric, tables
from staff.gradebook import Graded, given, questions, total
from staff.marks import Marks, called
from staff.rubric import Rubric

TABLE = "final.csv"
SUMS = ["report_score", "late", "penalty", "total", "undecided", "markers", "difference", "comment", "note"]


def merge(out: Path, marks_path: Path) -> tuple[list[dict], list[str]]:
    """Write ``final.csv`` from the gradebook and the marks, which are only read; write the pages again.

    Returns the rows of the final gradebook, each with ``items``, and notes on how the tables were read. LabError:
    grading is not finished, or the marks cannot be read; it names line and column.
    """
    graded = gradebook.load(out, whole=True)
    lab, by_hand = graded.lab, rubric.load(graded.lab, out)
    gave, notes = marks.read(marks_path, graded, by_hand)
    ids, rows = Counter(row["student_id"].casefold() for row in graded.rows if row["student_id"]), []
    for row in graded.rows:
        twice = ids[row["student_id"].casefold()] > 1
        rows.append(_final(lab, by_hand, row, gave.get(called(row), Marks()), twice))
        rows[-1]["items"] = {part: _items(items, rows[-1], part) for part, items in by_hand.items()}
    # The log before what it tells, so that nothing happens unlogged.
    audit.add(out, _changes(out, [*questions(lab), *by_hand], graded, rows, marks_path.name))
    columns = ["student_id", "name", "hand_in", *questions(lab), "auto_score", *by_hand, *SUMS]
    tables.write(out / TABLE, columns, rows)
    pages.write(out, rows)
    if differ := sum(bool(row["difference"]) for row in rows):
        notes.append(f"markers differ on {differ} students: see the column difference of {TABLE}")
    return rows, notes


def _final(lab: str, by_hand: Rubric, row: dict, its: Marks, twice: bool) -> dict:
    """A student's row of ``final.csv``, and ``marks``; ``twice``: another hand-in has the same id."""
    final = {name: row[name] for name in ("student_id", "name", "hand_in")} | {"marks": its}
    undecided, notes = [], [row["note"]] if row["note"] else []
    asked, columns = questions(lab), [*questions(lab), *by_hand]
    for name in columns:
        graded, decided = row.get(name), its.points.get(name)
        final[name] = graded if decided is None else decided
        if final[name] is None:
            undecided.append(name)
        elif name in asked and final[name] != graded:
            notes.append(f"{name} by hand, graded {given(graded)}")
    if twice:
        undecided.append("two hand-ins for one id")
    elif row["look"] and not its.settled:
        undecided.append("status")
    if not row["hand_in"] and len(undecided) == len(columns):
        undecided = []  # no hand-in, and no marks either: there is nothing to decide, and no total
    for score, names in (("auto_score", asked), ("report_score", by_hand)):
        final[score] = total(final[name] for name in names)
    final |= {"late": row.get("late"), "penalty": row.get("penalty")}
    is_open = undecided or None in (final[name] for name in columns)
    whole = final["auto_score"] + final["report_score"] - (final["penalty"] or 0)
    final |= {"total": None if is_open else max(0.0, total([whole])), "undecided": ", ".join(undecided)}
    differ = "; ".join(its.apart[name] for name in columns if name in its.apart)
    final |= {"markers": its.marker, "difference": differ, "comment": its.comment}
    return final | {"note": "; ".join(notes)}


def _changes(out: Path, names: list[str], graded: Graded, rows: list[dict], marks_file: str) -> list[audit.Line]:
    """A line for each change of points since the last merge, or since grading, and for each REVIEW row looked at."""
    try:
        last = tables.read(out / TABLE, ["student_id", "hand_in"], None)[0]
    except LabError:  # there is none, or it is not as we wrote it
        last = []
    before = {called(row.cells): row.cells for row in last}
    lines = []
    for row, final in zip(graded.rows, rows, strict=True):
        its, old, student = final["marks"], before.get(called(row), {}), row["student_id"] or row["hand_in"]
        where = f"{marks_file}, line {its.line}" + f" ({its.marker})" * bool(its.marker)
        for name in names:
            was, now = old.get(name, tables.guarded(row.get(name))), tables.guarded(final[name])
            by_hand = its.points.get(name) is not None
            what, why = ("decision", where) if by_hand else ("merge", f"no points in {marks_file}, so as graded")
            lines += [(what, student, name, was, now, why)] if was != now else []
        if row["look"] and its.settled and "status" in old.get("undecided", "status"):
            lines.append(("decision", student, "status", "REVIEW", "OK", where))
    undecided = sum(bool(row["undecided"]) for row in rows)
    return [*lines, ("merge", "", "", None, None, f"{marks_file}: {len(rows)} students, {undecided} undecided")]


def _items(items: list[rubric.Item], row: dict, part: str) -> list[dict]:
    """What a full answer holds; ``earned``: the points of each item, where these make the part's."""
    its = [row["marks"].points.get(item.id) for item in items]
    by_items = None not in (*its, row[part]) and abs(total(its) - row[part]) < 0.005
    earned = its if by_items else [None] * len(its)
    return [{"text": i.text, "points": i.points, "earned": e} for i, e in zip(items, earned, strict=True)]
