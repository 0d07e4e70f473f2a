"""The final gradebook: the graded points, the points given by hand, and the decisions of people.

A question's points are those of marks.csv if it gives any, else the graded ones; a part of the report has those of
marks.csv. The total is their sum less the penalty for late work, never below 0. What is open leaves no total.
"""

from collections import Counter
from pathlib import Path

from hi_mnist import files
from hi_mnist.cli import LabError
from staff import audit, gradebook, marks, rubric, tables
from staff.gradebook import FEEDBACK, Graded, feedback_folder, given, questions, total
from staff.marks import Marks, called
from staff.rubric import Rubric

TABLE = "final.csv"
SUMS = ["report_score", "late", "penalty", "total", "undecided", "markers", "difference", "comment", "note"]


def merge(out: Path, marks_path: Path, own: Path | None = None) -> tuple[list[dict], list[str]]:
    """Write ``final.csv`` from the gradebook and the marks, which are only read; write the feedback again.

    The class keeps the rubric ``own`` from now on. Returns the rows of the final gradebook, each with ``items``, and
    notes on how the tables were read.

    Raises:
        LabError: grading is not finished, or the marks cannot be read; names line and column.
    """
    graded = gradebook.load(out)
    if missing := graded.missing:
        raise LabError(f"{missing} hand-in{' is' if missing == 1 else 's are'} not graded yet; finish with --resume")
    lab, by_hand = graded.lab, rubric.load(graded.lab, out, own)
    gave, notes = marks.read(marks_path, graded, by_hand)
    ids, rows = Counter(row["student_id"].casefold() for row in graded.rows if row["student_id"]), []
    for row in graded.rows:
        twice = ids[row["student_id"].casefold()] > 1
        rows.append(_final(lab, by_hand, row, gave.get(called(row), Marks()), twice))
        rows[-1]["items"] = {part: _items(items, rows[-1], part) for part, items in by_hand.items()}
    # All of it first, so that nothing is half-written; the log before what it tells, so that nothing happens unlogged.
    told = {feedback_folder(out, row["hand_in"]): _feedback(out, lab, by_hand, row) for row in rows}
    audit.add(out, _changes(out, [*questions(lab), *by_hand], graded, rows, marks_path.name))
    rubric.keep(out, own)
    columns = ["student_id", "name", "hand_in", *questions(lab), "auto_score", *by_hand, *SUMS]
    tables.write(out / TABLE, columns, rows)
    for folder, text in told.items():
        if text:
            folder.mkdir(parents=True, exist_ok=True)
            files.write_text(folder / FEEDBACK[0], text)
    if differ := sum(bool(row["difference"]) for row in rows):
        notes.append(f"markers differ on {differ} students: see the column difference of {TABLE}")
    return rows, notes


def _final(lab: str, by_hand: Rubric, row: dict, its: Marks, twice: bool) -> dict:
    """A student's row of ``final.csv``, and ``marks``; ``twice``: another hand-in has the same id."""
    final = {name: row[name] for name in ("student_id", "name", "hand_in")} | {"marks": its}
    undecided, notes = [], [row["note"]] if row["note"] else []
    asked, columns = questions(lab), [*questions(lab), *by_hand]
    apart = {name: _apart(its, name) for name in columns if its.difference(name)}
    for name in columns:
        graded, decided = row.get(name), its.points.get(name)
        final[name] = graded if decided is None and name not in its.several else decided
        if final[name] is None:
            undecided.append(apart.get(name, name))
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
    final |= {"markers": its.marker, "difference": "; ".join(apart.values()), "comment": its.comment}
    return final | {"note": "; ".join(notes)}


def _apart(its: Marks, name: str) -> str:
    """By how much the markers of a column differ, and what each one gave."""
    gave = ", ".join(f"{marker} {given(points)}" for marker, points in its.several[name].items())
    return f"{name} differs by {given(its.difference(name))} ({gave})"


# --------------------------------------------------------------------------- the log


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
            by_hand = its.points.get(name) is not None or name in its.several
            what, why = ("decision", where) if by_hand else ("merge", f"no points in {marks_file}, so as graded")
            lines += [(what, student, name, was, now, why)] if was != now else []
        if row["look"] and its.settled and "status" in old.get("undecided", "status"):
            lines.append(("decision", student, "status", "REVIEW", "OK", where))
    undecided = sum(bool(row["undecided"]) for row in rows)
    return [*lines, ("merge", "", "", None, None, f"{marks_file}: {len(rows)} students, {undecided} undecided")]


# --------------------------------------------------------------------------- what people read


def _items(items: list[rubric.Item], row: dict, part: str) -> list[dict]:
    """What a full answer holds; ``earned``: the points of each item, where these make the part's."""
    its = [row["marks"].points.get(item.id) for item in items]
    by_items = None not in (*its, row[part]) and abs(total(its) - row[part]) < 0.005
    earned = its if by_items else [None] * len(its)
    return [{"text": i.text, "points": i.points, "earned": e} for i, e in zip(items, earned, strict=True)]


def _feedback(out: Path, lab: str, by_hand: Rubric, row: dict) -> str | None:
    """The student's feedback.md with the final points; None without a hand-in or a record of it."""
    if (record := gradebook.load_record(out, row["hand_in"])) is None:
        return None
    whose = {name: row[name] for name in ("hand_in", "student_id", "name", "late", "penalty")}
    shown = gradebook.student_record(gradebook.Row(**whose, record=record), lab)
    return gradebook.feedback_text(shown, lab, row, by_hand.points())
