"""Turn the records of hand-ins into what staff and students read: the gradebook, the feedback, the summary.

A record is written as soon as its hand-in is graded. Everything else is made again from all records, in a fixed
order, so it does not depend on the order of grading, the number of processes or interruptions.
"""

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from grading.questions.common import Question
from grading.scores import FIGURES, PERFORMANCE_POINTS, SAMPLE_INDEX_POINTS
from hi_mnist import files
from hi_mnist.cli import LabError
from hi_mnist.text import markdown
from labs import catalog
from staff import archives, tables
from staff.entries import for_student

RUN_QUESTIONS = {  # of the main lab: on the run that was handed in
    "sample_index": Question('6 the cluster of "6"', SAMPLE_INDEX_POINTS, None, None),
    "performance": Question("6 Performance", PERFORMANCE_POINTS, None, None),
}
UNDECIDED = ("REVIEW", "INTERNAL", "SKIPPED")  # verdicts without points: a person fills in these cells
STATUSES = ("OK", "SKIPPED", "REVIEW", "REPLACED", "ABSENT")
EXTRA = {"email": "", "section": "", "late": "", "penalty": 0.0}  # what a row has of the roster and the deadline
GRADEBOOK = "gradebook.json"  # what later commands read
LOCK = "lock.json"  # while the class is graded or merged
FEEDBACK = ("feedback.md", "feedback.json")
SIMILAR = "Similar, not proof: compare the files, and ask. An empty list is a good one."
# Records hold these for staff and for --resume; students do not see them.
NOT_FOR_STUDENTS = ("digest", "settings", "review", "signature", "fingerprint")


def questions(lab: str) -> dict[str, Question]:
    """All questions of a lab that the programs answer, by id: on the code, and of the main lab on the run."""
    return catalog.load(lab).questions | (RUN_QUESTIONS if lab == catalog.MAIN else {})


def auto_points(lab: str) -> int:
    """The points of ``questions``, without those of a bonus."""
    return catalog.total_points(questions(lab))


def columns(lab: str, extra: Container[str] = ()) -> list[str]:
    """The columns of ``gradebook.csv``; ``extra`` names those of the roster and the deadline that it has."""
    names = ["hand_in", "student_id", "name", "section", *questions(lab), "auto_score", "late", "penalty"]
    return [name for name in (*names, "status", "note") if name in extra or name not in EXTRA]


@dataclass
class Graded:
    """A graded class, as ``write`` kept it.

    Attributes:
        lab: its name.
        rows: those of the gradebook that count, by column, and ``look``: whether a person must look at it.
        missing: how many hand-ins are not graded yet.
    """

    lab: str
    rows: list[dict]
    missing: int


@dataclass
class Row:
    """A line of the gradebook.

    Attributes:
        hand_in: empty for a student of the roster who handed nothing in.
        record: what grading found; None for a hand-in replaced by another.
        email, section: from the roster.
        late, penalty: how late, as ``staff.late`` says it, and the points off.
        notes, review: lines that concern the class as a whole.
    """

    hand_in: str
    student_id: str
    name: str
    record: dict | None
    notes: list[str] = field(default_factory=list)
    review: list[str] = field(default_factory=list)
    email: str = ""
    section: str = ""
    late: str = ""
    penalty: float = 0.0

    def status(self) -> str:
        """OK; SKIPPED: some cells must be filled in; REVIEW: look at it; REPLACED: another hand-in counts; ABSENT."""
        if self.record:
            return own_status(self.record, self.review)
        return "REPLACED" if self.hand_in else "ABSENT"

    def cells(self) -> dict:
        record = self.record or {"questions": [], "notes": [], "review": []}
        points = {q["id"]: decided(q) for q in record["questions"]}
        score = total(points.values()) if self.record else None
        looks, notes = [*record["review"], *sorted(self.review)], [*record["notes"], *sorted(self.notes)]
        note = "; ".join([*looks, *undecided_causes(record), *notes])
        whose = {name: getattr(self, name) for name in ("hand_in", "student_id", "name", *EXTRA)}
        return whose | points | {"auto_score": score, "status": self.status(), "note": note}


def decided(question: dict) -> float | None:
    """A question's points; None if a person decides."""
    return None if question["verdict"] in UNDECIDED else question["score"]


def total(points: Iterable[float | None]) -> float:
    """The sum of the points, without those that a person decides."""
    return round(sum(p for p in points if p is not None), 4)


def given(points: float | None) -> str:
    """Points as text for people."""
    return "open" if points is None else tables.guarded(points)


def own_status(record: dict, review: list[str] = ()) -> str:
    verdicts = {q["verdict"] for q in record["questions"]}
    if review or record["review"] or verdicts & {"REVIEW", "INTERNAL"}:
        return "REVIEW"
    return "SKIPPED" if "SKIPPED" in verdicts else "OK"


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
    files.write_text(out / "records" / f"{file_name(record['hand_in'])}.json", _json(record))


def load_record(out: Path, hand_in: str) -> dict | None:
    """The record of a hand-in; None if it is missing or damaged."""
    path = out / "records" / f"{file_name(hand_in)}.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        asked = list(questions(record["settings"].get("lab", catalog.MAIN)))
        return record if record["hand_in"] == hand_in and [q["id"] for q in record["questions"]] == asked else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, LabError):
        return None


def load(out: Path) -> Graded:
    """What ``write`` kept.

    Raises:
        LabError: nothing is graded, or the file is damaged.
    """
    try:
        kept = json.loads((out / GRADEBOOK).read_text(encoding="utf-8"))
        lab = kept.get("lab", catalog.MAIN)
        rows = [EXTRA | row | {name: row[name] for name in (*columns(lab), "look")} for row in kept["rows"]]
        return Graded(lab, [row for row in rows if row["status"] != "REPLACED"], kept["missing"])
    except FileNotFoundError:
        raise LabError(f"there is no {GRADEBOOK} in {out}; grade the class first, or finish with --resume") from None
    except (ValueError, TypeError, KeyError):
        raise LabError(f"{out / GRADEBOOK} is damaged or old; grade the class again, with --resume") from None


def _json(content: dict | list) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


# --------------------------------------------------------------------------- what is written


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.student_id, row.hand_in))


def write(out: Path, lab: str, rows: list[Row], facts: list[str], missing: int = 0, alike: list[str] = ()) -> None:
    """Write ``gradebook.csv``, the feedback, ``summary.md``, and last ``gradebook.json``, which ``merge`` needs.

    Args:
        out: an existing folder.
        lab: the lab's name.
        rows: all hand-ins that have a record or do not need one.
        facts: lines for the head of the summary.
        missing: how many hand-ins are not graded yet.
        alike: lines on hand-ins with similar code.
    """
    rows = in_order(rows)
    looks = [bool(row.review or (row.record and row.record["review"])) for row in rows]
    graded = [cells | {"look": look} for cells, look in zip(write_table(out, lab, rows), looks, strict=True)]
    told = {feedback_folder(out, row.hand_in): student_record(row, lab) for row in rows if row.record}
    # Feedback of hand-ins that are gone or do not count is removed; folders that hold other files stay.
    for folder in {path.parent for path in (out / "feedback").glob(f"*/{FEEDBACK[0]}")} - told.keys():
        if {path.name for path in folder.iterdir()} <= set(FEEDBACK):
            shutil.rmtree(folder)
    for folder, feedback in told.items():
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in zip(FEEDBACK, (feedback_text(feedback, lab), _json(feedback)), strict=True):
            files.write_text(folder / name, text)
    files.write_text(out / "summary.md", summary_text(lab, rows, facts, alike))
    files.write_text(out / GRADEBOOK, _json({"lab": lab, "missing": missing, "rows": graded}))


def write_table(out: Path, lab: str, rows: list[Row]) -> list[dict]:
    """Write ``gradebook.csv``, also with the first rows while others are still graded; returns its cells."""
    empty = dict.fromkeys(columns(lab))
    graded = [empty | row.cells() for row in in_order(rows)]
    extra = {name for row in graded for name in EXTRA if row[name] or (name == "penalty" and row["late"])}
    tables.write(out / "gradebook.csv", columns(lab, extra), graded)
    return graded


def feedback_folder(out: Path, hand_in: str) -> Path:
    return out / "feedback" / file_name(hand_in)


def student_record(row: Row, lab: str) -> dict:
    """What a student may see of a record: the fields of grade.json and the reproduction, nothing about others."""
    record, shown = row.record, {"late": row.late, "penalty": row.penalty}
    shown |= {key: value for key, value in record.items() if key not in NOT_FOR_STUDENTS}
    shown["notes"] = [for_student(note) for note in record["notes"]]
    shown["questions"] = [q | {"message": for_student(q["message"])} for q in record["questions"]]
    score = total(map(decided, record["questions"]))
    return shown | {"auto_score": score, "auto_points": auto_points(lab), "status": own_status(record)}


def feedback_text(shown: dict, lab: str) -> str:
    """A student's feedback as Markdown; output of their code stands in code blocks, so nothing is interpreted."""
    lines = [f"# {catalog.load(lab).title}: {markdown(shown['hand_in'])}", ""]
    lines += ["| question | points | verdict |", "| --- | ---: | --- |"]
    for q in shown["questions"]:
        lines.append(f"| {q['label']} | {given(decided(q))} / {q['points']} | {q['verdict']} |")
    lines += [f"| sum | {tables.guarded(shown['auto_score'])} / {shown['auto_points']} | |"]
    late, points = shown["late"], f"-{given(shown['penalty'])}" if shown["penalty"] else "0"
    lines += [f"| late: {late} | {points} | |"] * (late not in ("", "no")) + [""]
    if any(decided(q) is None for q in shown["questions"]):
        lines += ["Open points are not lost: a person decides them.", ""]
    for q in shown["questions"]:
        lines += [f"## {q['label']}", "", *block(q["message"])]
        if q["hint"]:
            lines += ["Hint:", "", *block(q["hint"])]
    run = [] if shown["run"] is None else [f"folder: {shown['run']}"]
    run += [f"{text}: {shown[name]:.4f}" for name, text in FIGURES.items() if shown[name] is not None]
    run += [f"{attempt['what']}: {attempt['result']}" for attempt in (shown["reproduced"] or {}).get("attempts", [])]
    for title, entries in {"The run": run, "Notes": shown["notes"], "How the code was run": shown["guards"]}.items():
        if entries:
            lines += [f"## {title}", "", *block("\n".join(entries))]
    return "\n".join(lines).rstrip() + "\n"


def block(text: str) -> list[str]:
    return [*(f"    {line}".rstrip() for line in text.splitlines()), ""]


def counted(rows: list[Row]) -> str:
    """The number of hand-ins by status, and that of absent students."""
    statuses = Counter(row.status() for row in rows)
    told = ", ".join(f"{statuses[s]} {s}" for s in STATUSES if s in statuses)
    return f"{len(rows) - statuses['ABSENT']} hand-ins: {told or 'none'}"


def summary_text(lab: str, rows: list[Row], facts: list[str], alike: list[str]) -> str:
    """The class at a glance, as Markdown."""
    graded = [row for row in rows if row.record]
    lines = [f"# {catalog.load(lab).title}: the class", "", f"- {counted(rows)}"]
    lines += [f"- {markdown(fact)}" for fact in facts]
    lines += ["", "| question | points | graded | mean | lost points | open |", f"| --- |{' ---: |' * 5}"]
    why = ["", "## Why points were lost", ""]
    for i, (label, points, *_) in enumerate(questions(lab).values()):
        entries = [row.record["questions"][i] for row in graded]
        closed = [q for q in entries if decided(q) is not None]
        lost = [q for q in closed if q["score"] < points - 0.005]
        mean = f"{sum(q['score'] for q in closed) / len(closed):.2f}" if closed else "-"
        lines.append(f"| {label} | {points} | {len(closed)} | {mean} | {len(lost)} | {len(entries) - len(closed)} |")
        causes = Counter(_cause(q) for q in lost if q["verdict"] != "PASS")  # Performance passes with any points
        for cause, count in sorted(causes.items(), key=lambda item: (-item[1], item[0]))[:3]:
            why.append(f"- {label}, {'once' if count == 1 else f'{count} times'}: {markdown(cause)}")
    lines += [*why, "", "## To mark by hand", ""]
    for row in graded:
        lines += [f"- {markdown(row.hand_in)}: {markdown(cause)}" for cause in undecided_causes(row.record)]
    if without := [markdown(row.hand_in) for row in graded if archives.NO_REPORT in row.record["notes"]]:
        lines.append(f"- No report: {', '.join(without)}")
    lines += ["", "## To look at", ""]
    for row in graded:
        if reasons := sorted([*row.record["review"], *row.review]):
            lines.append(f"- {markdown(row.hand_in)}: {markdown('; '.join(reasons))}")
    lines += ["", "## Similar code", "", SIMILAR, "", *(f"- {markdown(line)}" for line in alike)]
    return "\n".join(lines).rstrip() + "\n"


def _cause(question: dict) -> str:
    """A message without numbers and places, so that equal causes are counted together."""
    text = re.sub("^(not attempted): .*", r"\1", question["message"].partition("\n")[0])
    text = re.sub(r"-?\d+(\.\d+)?(e[+-]?\d+)?", "N", text)
    return f"{question['verdict']}: {text[:160]}"
