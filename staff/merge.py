"""The final gradebook: the graded points, the points given by hand, and the decisions of people.

A question's points are those of marks.csv if it gives any, else the graded ones; a part of the report has those of
marks.csv. The total is their sum less the penalty for late work, never below 0. What is open leaves no total.
"""

import re
from collections import Counter
from pathlib import Path
from statistics import mean

from hi_mnist import files
from hi_mnist.cli import LabError
from hi_mnist.text import markdown
from staff import audit, gradebook, marks, rubric, tables
from staff.gradebook import FEEDBACK, Graded, auto_points, block, feedback_folder, given, questions, total
from staff.marks import Marks, called
from staff.rubric import Rubric

FINAL = "## Final"
TABLE = "final.csv"


def final_columns(lab: str, out: Path | None = None) -> list[str]:
    """The columns of ``final.csv``; ``out`` is the class's folder, which may have a rubric of its own."""
    parts = rubric.parts(lab, out)
    sums = ["report_score", "late", "penalty", "total", "undecided", "markers", "difference", "comment", "note"]
    return ["student_id", "name", "hand_in", *questions(lab), "auto_score", *parts, *sums]


def merge(out: Path, marks_path: Path, own: Path | None = None) -> tuple[list[dict], list[str]]:
    """Write ``final.csv`` from the gradebook and the marks, which are only read; add it to feedback and summary.

    Args:
        out: the class's folder.
        marks_path: marks.csv.
        own: a rubric that the class keeps from now on.

    Returns:
        the rows of the final gradebook, each with ``items``, and notes on how the tables were read.

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
    names = [*questions(lab), *by_hand]
    told = dict(filter(None, [*(_feedback(out, lab, by_hand, row) for row in rows), _summary(out, names, rows)]))
    audit.add(out, _changes(out, names, graded, rows, marks_path.name))
    tables.write(out / TABLE, final_columns(lab, out), rows)
    for path, text in told.items():
        files.write_text(path, text)
    return rows, notes


def _final(lab: str, by_hand: Rubric, row: dict, its: Marks, twice: bool) -> dict:
    """A student's row of ``final.csv``, and ``marks``.

    Args:
        lab, by_hand: what is graded and what is marked.
        row: of the gradebook.
        its: the marks.
        twice: another hand-in has the same id.
    """
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
        last = tables.read(out / TABLE, ["student_id", "hand_in"], final_columns(graded.lab, out))[0]
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


def _feedback(out: Path, lab: str, by_hand: Rubric, row: dict) -> tuple[Path, str] | None:
    """The student's feedback.md with the final points at its head and end; None if it was removed."""
    path = feedback_folder(out, row["hand_in"]) / FEEDBACK[0]
    if (graded := _graded_text(path)) is None:
        return None
    head, section, rest = graded.partition("\n## ")
    asked, parts = questions(lab), by_hand.points()
    auto, most = auto_points(lab), auto_points(lab) + sum(parts.values())
    for name, q in asked.items():
        head = re.sub(rf"(?m)^\| {re.escape(q.label)} \| \S+", f"| {q.label} | {given(row[name])}", head)
    late, penalty = f"late: {markdown(row['late'])}", f"-{given(row['penalty'])}" if row["penalty"] else "0"
    sums = f"| sum | {given(row['auto_score'])} / {auto} | |\n"
    sums += f"| {late} | {penalty} | |\n" if row["penalty"] else ""
    sums += f"| with the report | {given(row['total'])} / {given(most)} | |\n" if parts else ""
    graded = re.sub(r"(?m)^\| sum \|.*\n(\| (late:|with) .*\n)*", lambda _: sums, head) + section + rest
    lines = [FINAL, "", "| part | points |", "| --- | ---: |"]
    lines += [f"| {q.label} | {given(row[name])} / {q.points} |" for name, q in asked.items()]
    for part, points in parts.items():
        lines.append(f"| report: {part} | {given(row[part])} / {given(points)} |")
        for item in row["items"][part]:
            earned = "of" if item["earned"] is None else f"{given(item['earned'])} /"
            lines.append(f"| - {markdown(item['text'])} | {earned} {given(item['points'])} |")
    lines += [f"| {late} | {penalty} |"] if row["late"] not in (None, "", "no") else []
    lines += [f"| total | {given(row['total'])} / {given(most)} |", "", *block(row["comment"])]
    return path, graded.rstrip() + "\n\n" + "\n".join(lines).rstrip() + "\n"


def _items(items: list[rubric.Item], row: dict, part: str) -> list[dict]:
    """What a full answer holds; ``earned``: the points of each item, or their mean, where these make the part's."""
    several, points = row["marks"].several, row["marks"].points
    its = [mean(several[i.id].values()) if i.id in several else points.get(i.id) for i in items]
    by_items = None not in (*its, row[part]) and abs(total(its) - row[part]) < 0.005
    earned = its if by_items else [None] * len(its)
    return [{"text": i.text, "points": i.points, "earned": e} for i, e in zip(items, earned, strict=True)]


def _summary(out: Path, names: list[str], rows: list[dict]) -> tuple[Path, str] | None:
    """summary.md with what the merge came to, and how far markers differ; None if it was removed."""
    if (graded := _graded_text(out / "summary.md")) is None:
        return None
    totals = [row["total"] for row in rows if row["total"] is not None]
    lines = [f"{len(rows)} students, {sum(bool(row['undecided']) for row in rows)} undecided"]
    lines += [f"mean of {len(totals)} totals: {mean(totals):.2f}"] if totals else []
    for name in names:
        if apart := [row["marks"].difference(name) for row in rows if name in row["marks"].several]:
            told = f"differs by {mean(apart):.2f} in the mean, by {given(max(apart))} at most"
            lines.append(f"{name}, marked by several {len(apart)} times: {told}")
    lines += [f"{called(row)}: {row['difference']}" for row in rows if row["difference"]]
    return out / "summary.md", f"{graded.rstrip()}\n\n{FINAL}\n\n" + "".join(f"- {markdown(line)}\n" for line in lines)


def _graded_text(path: Path) -> str | None:
    """A file that grading wrote, without the section that a merge adds; None if it was removed."""
    try:
        return path.read_text(encoding="utf-8").partition(f"\n{FINAL}\n")[0]  # what a student wrote is indented
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise LabError(f"{path} is not UTF-8; grade with --resume, which writes it again, and merge") from None
