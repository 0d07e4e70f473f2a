"""What staff say of a class beside its hand-ins: who is in it, when the work was due. OUT_DIR keeps it.

A roster is a list that staff made, or an export of Canvas, Moodle or Blackboard, known by its headers.
"""

import argparse
import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from hi_mnist import files, settings
from hi_mnist.cli import LabError
from hi_mnist.text import listed
from staff import archives, gradebook, tables
from staff.late import UNKNOWN, Policy

COURSE = "course.json"
# Columns in lower case, the best first; those of a tuple are joined. Canvas's ID is a number of its own.
IDS = ("student_id", "学号", "sis user id", "id number", "student id", "student number")
IDS += ("id", "sis login id", "username")
NAMES = (("student",), ("full name",), ("name",), ("姓名",), ("last name", "first name"), ("surname", "first name"))
EMAILS = (("email",), ("email address",), ("e-mail",), ("邮箱",), ("电子邮件",))
SECTIONS = (("section",), ("class",), ("group",), ("groups",), ("班级",))
ACCOUNTS = {"canvas": "id", "moodle": "identifier", "blackboard": "username"}
# Lines of an export that are no student's: points, and the account in which staff see a course as students do.
_NO_STUDENT = re.compile(r"points possible|student, test|.*_previewuser", re.I)


@dataclass(frozen=True)
class Student:
    """A line of a roster. ``account`` is what the course system puts before uploaded files; ``ids[0]`` is shown."""

    line: int
    ids: list[str]
    name: str = ""
    email: str = ""
    section: str = ""
    account: str = ""
    extension: str = ""
    late_days: str = ""

    def __str__(self) -> str:
        return f"{self.ids[0]} {self.name}".strip()


class Match(NamedTuple):
    """Whose a hand-in is, what a person should know of that, and who uploaded it if that is another student."""

    student: Student | None
    remark: str = ""
    other: Student | None = None


@dataclass
class Course:
    """A class: its roster, with the course system that exported it, the policy on late work, and times by hand-in."""

    system: str = ""
    students: list[Student] = field(default_factory=list)
    late: Policy = field(default_factory=Policy)
    times: dict[str, str] = field(default_factory=dict)

    def keep(self, out: Path) -> None:
        """Write it, unless it says nothing and never did."""
        if self != Course() or (out / COURSE).exists():
            files.write_text(out / COURSE, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    def enter(self, rows: list[gradebook.Row], complete: bool) -> list[str]:
        """Enter in rows what is known, also the roster's ids, and the absent if ``complete``; lines for the summary."""
        matched = match(self, [(row.student_id, row.hand_in) for row in rows])
        absent, remarks, facts = {student.ids[0]: student for student in self.students}, [], []
        others = {one.other.ids[0]: [f"{hand_in}: {one.remark}"] for hand_in, one in matched.items() if one.other}
        for row in rows:
            student, remark, other = matched[row.hand_in]
            remarks += [f"{row.hand_in}: {remark}"] if remark else []
            if student:
                absent.pop(student.ids[0], None)
                row.student_id, row.name = student.ids[0], row.name or student.name
                row.email, row.section = student.email, student.section
            if row.record:
                student, upload = student or Student(0, [""]), archives.UPLOAD.match(row.hand_in)
                at = self.times.get(row.hand_in) or (upload and upload["at"]) or ""
                row.late, row.penalty, note = self.late.judge(at, student.extension, student.late_days)
                told = "Canvas says LATE, not when" if row.late == UNKNOWN and "_LATE_" in row.hand_in else ""
                row.notes += filter(None, ("" if other else remark, note, told))
                row.review += [remark] if other else []
        ids = Counter(tables.key(row.student_id) for row in rows if row.record and row.student_id)
        for row in rows:
            if row.record and not row.review and ids[tables.key(row.student_id)] > 1:
                row.review.append(f"more than one hand-in, or a folder inside one, has the id {row.student_id}")
        if self.students and complete:
            named = listed(list(map(str, absent.values())), "; ") or "nobody"
            facts.append(f"roster: {len(self.students)} students; absent: {named}")
            for one, s in absent.items():
                rows.append(gradebook.Row("", one, s.name, None, others.get(one, []), [], s.email, s.section))
        facts += [f"roster: {listed(remarks, '; ')}"] if remarks else []
        if self.late.deadline:
            how = Counter(row.late for row in rows)
            said = {name: value for name, value in asdict(self.late).items() if value is not None}
            rule = ", ".join(f"{name} {tables.guarded(value)}" for name, value in said.items())
            late = how.total() - how[""] - how["no"] - how[UNKNOWN]
            facts.append(f"{rule}: {late} late, {how[UNKNOWN]} at an unknown time")
        return facts


def load(out: Path) -> Course:
    """What was kept; nothing if the class has no such file. Raises LabError if it is damaged."""
    try:
        kept = json.loads((out / COURSE).read_text(encoding="utf-8"))
        students = [Student(**student) for student in kept["students"]]
        return Course(kept["system"], students, Policy(**kept["late"]), dict(kept["times"]))
    except FileNotFoundError:
        return Course()
    except (ValueError, TypeError, KeyError):
        raise LabError(f"{out / COURSE} is damaged; remove it, and give roster, deadline and times again") from None


def given(args: argparse.Namespace, hand_ins: list[tuple[str, str]]) -> tuple[Course, list[str]]:
    """What the flags say, else what an earlier run kept, and notes on the files; LabError if some are wrong."""
    course, notes = load(args.out) if args.resume else Course(), []
    late = course.late = settings.check(Policy(**asdict(course.late) | settings.given(Policy, args)))
    if late.deadline is None and late != Policy():
        raise LabError("grace, penalty, late_days and timezone need a deadline: --deadline 2026-12-01T23:59+08:00")
    if args.roster:
        course.system, course.students, notes = read(args.roster)
    for student in (Student(0, ["all"]), *course.students):
        try:
            late.judge(late.deadline or "", student.extension, student.late_days)
        except ValueError as error:
            raise LabError(f"deadline of {student}: {error}") from None
    if args.times:
        rows, more = tables.read(args.times, ["student_id", "submitted"])
        owners = {hand_in: one.student for hand_in, one in match(course, hand_ins).items()}
        named = [(owners[name].ids[0] if owners[name] else student_id, name) for student_id, name in hand_ins]
        named += [(s.ids[0], f"absent/{s.ids[0]}") for s in course.students if s not in owners.values()]
        meant_by, changed = tables.whose([row for row in rows if row.cells["submitted"]], named)
        course.times, errors = {}, [wrong for *_, wrong in meant_by if wrong]
        for row, meant, _ in meant_by:
            course.times |= dict.fromkeys(meant, row.cells["submitted"])
            try:
                late.instant(row.cells["submitted"])
            except ValueError as error:
                errors.append(f"line {row.line}, column submitted: {error}")
        tables.refuse(args.times, errors)
        notes += more + changed
    return course, notes


# --------------------------------------------------------------------------- the roster


def read(path: Path) -> tuple[str, list[Student], list[str]]:
    """The course system and the students of a roster, and notes on how it was read. LabError names a wrong line."""
    rows, notes = tables.read(path, [], None)
    columns = set(rows[0].cells) if rows else set()
    system = "canvas" if columns & {"sis user id", "sis login id"} else ""
    system = system or ("moodle" if columns & {"identifier", "id number"} else "")
    system = system or ("blackboard" if columns >= {"last name", "first name", "username"} else "")
    students, lines, errors = [], {}, []
    for one in (_student(system, row) for row in rows):
        if _NO_STUDENT.fullmatch(one.name) or _NO_STUDENT.fullmatch(one.account) or not (one.ids or one.name):
            continue
        first = lines.setdefault(tables.key(one.ids[0]), one.line) if one.ids else None
        errors += [f"line {one.line}: {one.name} has no id"] if first is None else []
        errors += [f"line {one.line}: the id {one.ids[0]} is in line {first}"] if first not in (None, one.line) else []
        students.append(one)
    tables.refuse(path, errors)
    if not students:
        raise LabError(f"{path.name} has no line with an id; its first line must name a column student_id, id or 学号")
    return system, students, notes


def _student(system: str, row: tables.Row) -> Student:
    def first(alternatives: tuple[tuple[str, ...], ...]) -> str:
        joined = (" ".join(row.cells.get(name, "") for name in names).strip() for names in alternatives)
        return next(filter(None, joined), "")

    ids = [row.cells[name] for name in IDS if row.cells.get(name) and (system, name) != ("canvas", "id")]
    account, email = row.cells.get(ACCOUNTS.get(system), ""), first(EMAILS)
    if system == "moodle":  # "Participant 12345", in the site's language
        account = "".join(re.findall("[0-9]+$", account))
    ids = ids or [email.partition("@")[0]] * bool(email)
    rest = [row.cells.get(name, "") for name in ("extension", "late_days")]
    return Student(row.line, ids, first(NAMES), email, first(SECTIONS), account, *rest)


def match(course: Course, hand_ins: list[tuple[str, str]]) -> dict[str, Match]:
    """Whose hand-ins are, by name of the hand-in.

    First the id counts, in any case or form, then the uploader, then an id that a spreadsheet may have changed (zeros
    in front, 2.1E+09), if only one student has such an id.
    """
    by_id = {tables.key(one): student for student in course.students for one in (*student.ids[1:], student.email)}
    by_id |= {tables.key(student.ids[0]): student for student in course.students}
    found = {}
    for student_id, hand_in in hand_ins:
        named = student_id or tables.narrow(hand_in).partition("+")[0]  # an id in wide digits is none to archives.py
        right, uploader, remark = by_id.get(tables.key(named) or None), _uploader(course, hand_in), ""
        near = [s for s in course.students if any(tables.same_id(one, named) for one in s.ids)]
        near = [right or uploader] if right or uploader else near
        other = uploader if right and uploader != right else None
        if len(near) != 1 and course.students:
            remark = f"not in the roster{'; perhaps ' if near else ''}{listed(list(map(str, near)))}"
        elif other:
            remark = f"its id is that of {right}, but {other} uploaded it"
        elif near and (not student_id or student_id not in (*near[0].ids, near[0].email)):
            remark = f"in the roster as {near[0]}"
        found[hand_in] = Match(near[0] if len(near) == 1 else None, remark, other)
    return found


def _uploader(course: Course, hand_in: str) -> Student | None:
    found = archives.UPLOAD.match(hand_in)
    by = f"_{(found and course.system and found[course.system]) or ''}".casefold()
    return next((s for s in course.students if s.account and by.endswith(f"_{s.account.casefold()}")), None)
