"""What staff say of a class beside its hand-ins: who is in it, when the work was due. OUT_DIR keeps it.

A roster is a list that staff made, or an export of Canvas, Moodle or Blackboard, known by its headers.
"""

import argparse
import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hi_mnist import files, settings
from hi_mnist.cli import LabError
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
_NOBODY = re.compile(r"points possible|student, test|.*_previewuser", re.I)


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
        """Enter in rows what is known of them, and add absent students if ``complete``; lines for the summary."""
        matched = match(self, [(row.student_id, row.hand_in) for row in rows]) if self.students else {}
        absent = {student.ids[0]: student for student in self.students}
        for row in rows:
            student, remark = matched.get(row.hand_in, (None, ""))
            student, upload = student or Student(0, [""]), archives.UPLOAD.match(row.hand_in)
            row.email, row.section = student.email, student.section
            absent.pop(student.ids[0], None)
            if row.record:
                at = self.times.get(row.hand_in) or (upload and upload["at"]) or ""
                row.late, row.penalty, note = self.late.judge(at, student.extension, student.late_days)
                told = "Canvas says LATE, not when" if row.late == UNKNOWN and "_LATE_" in row.hand_in else ""
                row.notes += filter(None, (remark, note, told))
        remarks, facts = [f"{hand_in}: {remark}" for hand_in, (_, remark) in matched.items() if remark], []
        if self.students and complete:
            named = tables.shortened(list(map(str, absent.values()))) or "nobody"
            facts.append(f"roster: {len(self.students)} students; absent: {named}")
            rows += [gradebook.Row("", one, s.name, None, [], [], s.email, s.section) for one, s in absent.items()]
        facts += [f"roster: {tables.shortened(remarks, '; ')}"] if remarks else []
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
    """What the flags say, else what an earlier run kept, and notes on the files. Raises LabError if some are wrong.

    ``hand_ins`` are the ids and names of all.
    """
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
        course.times, more = tables.answers(args.times, "submitted", hand_ins, lambda at: late.instant(at) and at)
        notes += more
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
        if _NOBODY.fullmatch(one.name) or _NOBODY.fullmatch(one.account) or not (one.ids or one.name):
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


def match(course: Course, hand_ins: list[tuple[str, str]]) -> dict[str, tuple[Student | None, str]]:
    """The students of hand-ins, by name of the hand-in, each with a remark if a person should know why it is that one.

    An id counts as written, then in another case or form; then the uploader counts, and then an id that a spreadsheet
    may have changed (zeros in front lost or added, 2.1E+09), if only one student has such an id.
    """
    by_id = {tables.key(one): student for student in course.students for one in (*student.ids[1:], student.email)}
    by_id |= {tables.key(student.ids[0]): student for student in course.students}
    found = {}
    for student_id, hand_in in hand_ins:
        right, uploader, remark = by_id.get(tables.key(student_id) or None), _uploader(course, hand_in), ""
        near = [s for s in [right or uploader] if s] or [s for s in course.students if _near(s, student_id)]
        if len(near) != 1:
            remark = f"not in the roster{'; perhaps ' if near else ''}{tables.shortened(list(map(str, near)))}"
        elif not student_id or student_id not in (*near[0].ids, near[0].email):
            remark = f"in the roster as {near[0]}"
        elif uploader not in (None, right):
            remark = f"its id is that of {right}, but {uploader} uploaded it"
        found[hand_in] = near[0] if len(near) == 1 else None, remark
    return found


def _near(student: Student, student_id: str) -> bool:
    """Whether an id differs from a student's only as spreadsheets make them differ."""
    pairs = [(one, student_id) for one in student.ids]
    zeros = ({re.sub("(?<![0-9])0+(?=[0-9])", "", tables.key(text)) for text in pair} for pair in pairs)
    return any(len(plain) == 1 for plain in zeros) or any(tables.same_number(*pair) for pair in pairs)


def _uploader(course: Course, hand_in: str) -> Student | None:
    found = archives.UPLOAD.match(hand_in)
    by = f"_{(found and course.system and found[course.system]) or ''}".casefold()
    return next((s for s in course.students if s.account and by.endswith(f"_{s.account.casefold()}")), None)
