"""Write the final points and the feedback as Canvas, Moodle and Blackboard import them.

python -m staff.grade_class export --out grades --for moodle --gradebook worksheet.csv
"""

import argparse
import csv
import io
import re
import zipfile
from collections import Counter
from pathlib import Path

from hi_mnist import cli
from hi_mnist.cli import LabError
from hi_mnist.files import atomic_path
from hi_mnist.text import listed
from labs import catalog
from staff import archives, gradebook, marks, pages, roster, tables
from staff.roster import Course, Match, Student
from staff.tables import guarded

POINTS = {  # the header of a column of points
    "canvas": r"(.+) \([0-9]+\)",
    "moodle": r"Grade|\w+: (.+) \(Real\)",
    "blackboard": r"(.+) \[Total Pts: [0-9.,]+(?: Score)?\](?: ?\|[0-9]+)?",
}
ABOUT = """

--gradebook: of Canvas, Grades > Export; of Moodle, the assignment's grading worksheet, or Grades > Export > Plain text;
of Blackboard, Work Offline > Download. Its column of points is filled, and all else stays as it was."""


def build_parser() -> argparse.ArgumentParser:
    about = "Write the merged points and the feedback into OUT_DIR, for a course system to import."
    example = "python -m staff.grade_class export --out grades --for moodle --gradebook worksheet.csv --absent zero"
    parser = cli.make_parser("python -m staff.grade_class export", about, example + ABOUT)
    parser.add_argument("--out", type=Path, required=True, metavar="OUT_DIR", help="where the class was merged")
    parser.add_argument("--for", dest="system", required=True, choices=list(POINTS), help="what imports the files")
    parser.add_argument("--gradebook", type=Path, required=True, metavar="FILE", help="what that system exported")
    parser.add_argument("--column", metavar="TITLE", help="of the points (default: the only one, or the lab's title)")
    text = "points of who handed nothing in (default: empty)"
    parser.add_argument("--absent", choices=["empty", "zero"], default="empty", help=text)
    return parser


def main(argv: list[str]) -> int:
    args = build_parser().parse_args(argv)
    out, system = args.out.expanduser().resolve(), args.system
    rows, lab = final_rows(out)
    title, path = args.column or catalog.load(lab).title, args.gradebook
    (sheet, notes), (found, students, _) = tables.sheet(path), roster.read(path)
    if found != system:
        raise LabError(f"{path} has not the columns that {system} exports; export it there again")
    column = points_column(system, sheet.rows[0], args.column, title)
    theirs = Course(system, students)  # with the emails, because Moodle's worksheet may have nothing else
    matched = roster.match(theirs, [(row["student_id"], row["hand_in"]) for row in rows])
    unknown = [row for row in rows if row["email"] and matched[row["hand_in"]].student is None]
    matched |= roster.match(theirs, [(row["email"], row["hand_in"]) for row in unknown])
    uploaders = [one.other for one in matched.values()]  # under another's id: to be settled, not absent
    names = [i for i, header in enumerate(sheet.rows[0]) if header.strip().casefold() in sum(roster.NAMES, ())]
    absent = 0 if args.absent == "zero" else None
    for student in students:
        cells = sheet.rows[sheet.numbers.index(student.line)]
        points = [row["total"] for row in rows if matched[row["hand_in"]].student == student]
        points = points or [None if student in uploaders else absent]
        cells += [""] * (column + 1 - len(cells))
        cells[column] = guarded(points[0] if len(points) == 1 else None)
        for i in names:
            cells[i] = guarded(cells[i])  # it may be a formula
    table = out / f"{system}_grades{path.suffix}"
    text, quoting = io.StringIO(newline=""), csv.QUOTE_ALL if system == "blackboard" else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=sheet.delimiter, quoting=quoting, lineterminator="\r\n").writerows(sheet.rows)
    with atomic_path(table) as partial:
        partial.write_bytes(text.getvalue().encode(sheet.encoding))
    told = {"undecided, so empty": [row["hand_in"] for row in rows if row["total"] is None]}
    told["without feedback in the zip"] = write_feedback(out, system, rows, matched)
    told[f"ids in {system}"] = [f"{name}: {one.remark}" for name, one in matched.items() if one.remark]
    counts = Counter(str(one.student) for one in matched.values() if one.student)
    told["more than one hand-in, so empty"] = [student for student, count in counts.items() if count > 1]
    for note in [*notes, *(f"{what}: {listed(names, '; ')}" for what, names in told.items() if names)]:
        print(f"note: {note}")
    print(f"wrote {table.name} with {len(students)} students, and {system}_feedback.zip, in {args.out}")
    return 0


def final_rows(out: Path) -> tuple[list[dict], str]:
    """The rows to export, by ``marks.called`` as ``hand_in``, with ``total``, None if undecided; and the lab."""
    graded, path = gradebook.load(out, whole=True), out / "final.csv"
    if not path.exists():
        raise LabError(f"there is no final.csv in {out}; merge first: python -m staff.grade_class merge --help")
    found = [row.cells for row in tables.read(path, ["student_id", "hand_in", "total"], None)[0]]
    totals = {tables.key(marks.called(cells)): marks.number(cells["total"], 1e6) for cells in found}
    rows = [row | {"hand_in": marks.called(row)} for row in graded.rows]
    if {tables.key(row["hand_in"]) for row in rows} != totals.keys():
        raise LabError(f"{path} is not of this gradebook; merge again")
    rows = [row | {"total": totals[tables.key(row["hand_in"])]} for row in rows]
    return [row for row in rows if row["status"] != "ABSENT" or row["total"] is not None], graded.lab


def points_column(system: str, headers: list[str], named: str | None, title: str) -> int:
    """The column of points that staff ``named``, else the only one, or that with the lab's title."""
    found = {i: match for i, header in enumerate(headers) if (match := re.fullmatch(POINTS[system], header.strip()))}
    right = [i for i, match in found.items() if title.casefold() in map(str.casefold, filter(None, match.group(0, 1)))]
    right = list(found) if named is None and len(found) == 1 else right
    if len(right) != 1:
        there = listed([match[0] for match in found.values()]) or "none"
        raise LabError(f"{len(right)} columns of points are named {title!r}; choose one with --column: {there}")
    return right[0]


def write_feedback(out: Path, system: str, rows: list[dict], matched: dict[str, Match]) -> list[str]:
    """Write the zip of all decided hand-ins' feedback; returns those that are not in it."""
    without, contents = [], {}
    for row in (row for row in rows if row["total"] is not None):
        hand_in, name = row["hand_in"], upload_name(system, row["hand_in"], matched[row["hand_in"]].student)
        page = out / pages.link(row)["address"]
        if not page.is_file() or not name:
            without.append(hand_in)
        elif system == "canvas":  # shown under the name of the student's own file, which is a zip
            contents[f"{name}.zip"] = zipped({pages.PAGE: page.read_bytes()})
        else:
            contents[f"{name}/{pages.PAGE}"] = page.read_bytes()
    with atomic_path(out / f"{system}_feedback.zip") as partial:
        partial.write_bytes(zipped(contents))
    return without


def zipped(contents: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return made.getvalue()


def upload_name(system: str, hand_in: str, student: Student | None) -> str:
    """By what the system's bulk upload knows a hand-in; empty if nothing says it."""
    upload, name = archives.UPLOAD.match(hand_in), ""
    if system == "blackboard":
        name = student.ids[-1] if student else ""
    elif upload and upload[system]:
        name = hand_in if system == "canvas" else upload[0]
    elif system == "moodle" and student and student.account:
        name = f"{student.name.replace('_', ' ')}_{student.account}_assignsubmission_file_"
    return re.sub(r"[\\/:]", "-", name)
