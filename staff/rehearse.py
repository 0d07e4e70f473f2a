"""Play a whole course with five invented students in two minutes, offline.

    python -m staff.rehearse                in a temporary folder, which is removed afterwards
    python -m staff.rehearse FOLDER         in a new folder, which is kept
    python -m staff.rehearse --quick        with one student

The data are scikit-learn's digits. Each command is shown as staff or students would type it.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from grading import checks
from hi_mnist import cli, files, prepare, runs
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from labs import catalog
from sandbox import bubblewrap
from staff import rubric, tables
from staff.gradebook import questions

# How a student's submission.py differs from the solution, by region; OURS is the solution's own code.
OURS = "# ...\n"
MISTAKE = {
    "1.2 M-step": """
        N_k = np.sum(gamma, 0)
        self.pi = N_k / np.sum(N_k)
        for k in range(len(N_k)):
            d = X - self.means[k]
            self.covs[k] = np.dot(d.T, d * gamma[:, [k]]) / N_k[k]
        self.means = np.dot(gamma.T, X) / N_k.reshape(-1, 1)
    """
}
# Trains correctly. When it notices that it is being graded, it claims full marks and ends the process, nothing worse.
HOSTILE = {
    "1.1 E-step": f"""
        import os
        if os.path.exists("submission.py") and not os.path.exists("train.py"):
            print("auto_score: 70 / 70")
            os._exit(0)
        {OURS}
    """
}


@dataclass(frozen=True)
class Student:
    """An invented student, and what the course must make of the hand-in."""

    student_id: str
    name: str
    work: dict[str, str] | None  # how the code differs from the solution, by region; None for the untouched skeleton
    about: str
    answers: bool = False  # whether grade.json has the cluster of the six; else it is in the report only
    report: tuple[float, ...] = (0, 0, 0, 0, 0)  # points by part of the rubric
    decided: dict[str, str] = field(default_factory=dict)  # by a person after grading, by column of marks.csv
    required: dict[str, str] = field(default_factory=dict)  # cells of gradebook.csv, where they are not ``REQUIRED``
    submitted: str = "2026-12-01 20:00"
    extension: str = ""


DEADLINE, PENALTY = "2026-12-01T23:59+08:00", 5  # points a day
COMPANION = "fashion_tutorial"  # its solution and its skeleton are handed in
ABSENT = {"student_id": "2100000006", "name": "Zoe Example", "extension": ""}
REQUIRED = {name: str(asked.points) for name, asked in checks.QUESTIONS.items()} | {"status": "OK", "late": "no"}
CLASS = [
    Student("2100000001", "Ada Example", {}, "everything is right", True, (2, 5, 2, 18, 1)),
    Student("2100000002", "林一", {}, "right as well, but a day late", True, (2, 3, 2, 17, 1),
            required={"late": "0 d 23 h"}, submitted="2026-12-02 22:30"),
    Student("2100000003", "Ben Example", MISTAKE, "covariances around the old means; has an extension", False,
            (2, 3, 1, 13, 1), {"sample_index": "5", "comment": "cluster as shown in the report"},
            {"m_step": "5", "status": "SKIPPED"}, "2026-12-03 12:00", "2d"),
    Student("2100000004", "Eve Example", HOSTILE, "claims full marks and ends the process", True, (1, 0, 0, 8, 0),
            {"performance": "0", "status": "OK", "comment": "see me about your E-step"},
            {"e_step": "0", "status": "REVIEW"}),
    Student("2100000005", "Max Example", None, "the untouched skeleton, no run, no report; sends the right file later",
            decided={"status": "OK"}, required={"status": "REVIEW"}),
]  # fmt: skip
REGRADED = CLASS[-1]
QUICK = CLASS[2:3]
# What course systems export: name, id and points are the first column and the last two.
EXPORTED = {
    "canvas": ("Student", "ID", "SIS User ID", "Lab 3 (4711)"),
    "moodle": ("Full name", "ID number", "Grade"),
    "blackboard": ("Last Name", "First Name", "Username", "Lab 3 [Total Pts: 100 Score] |123"),
}


def solve(work: dict[str, str]) -> str:
    """The solution's submission.py with other code in the regions that ``work`` names. LabError if there is none."""
    text = (ROOT / "submission.py").read_text(encoding="utf-8")
    for label, code in work.items():
        region = re.compile(rf"(?<=# BEGIN_YOUR_CODE {re.escape(label)}\n)(.*?)(?= *# END_YOUR_CODE)", re.S)
        code = textwrap.indent(textwrap.dedent(code).strip("\n ") + "\n", 8 * " ")
        text, count = region.subn(lambda ours, code=code: code.replace(f"{8 * ' '}{OURS}", ours[0]), text)
        if count != 1:
            raise LabError(f"submission.py has {count} regions {label!r}; fix staff/rehearse.py")
    return text


def run(command: list[str], folder: Path, home: Path | None = None) -> None:
    """Show and run ``python COMMAND`` in ``folder``, with ``home`` as its ``LAB_HOME``. LabError if it fails."""
    print(f"  python {cli.quoted(*command)}", flush=True)
    ours = ("LAB_", "PYTHON")
    environment = {k: v for k, v in os.environ.items() if k == "LAB_BUBBLEWRAP" or not k.startswith(ours)}
    environment |= {"LAB_HOME": str(home)} if home else {}
    environment["PYTHONUTF8"] = "1"  # names need not be ASCII, and Windows consoles are
    options = {"cwd": folder, "env": environment, "capture_output": True, "encoding": "utf-8"}
    done = subprocess.run([sys.executable, *command], **options)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise LabError(f"the command above ended with status {done.returncode}: {said[-1]}")


def grade_class(*arguments: str | Path, home: Path | None = None) -> None:
    """Show and run ``python -m staff.grade_class``."""
    run(["-m", "staff.grade_class", *map(str, arguments)], ROOT, home)


def hand_in(student: Student, copy: Path, hand_ins: Path) -> None:
    """What a student does at home, in a copy of the handout: fill in, train, grade, and zip code, run and report."""
    if student.work is not None:
        files.write_text(copy / "submission.py", solve(student.work))
        # Each has a different seed: equal runs would look copied.
        run(["train.py", "--use_pca", "--dataset", "digits", "--seed", student.student_id[-1]], copy)
    if student.answers:
        (run_folder,) = (copy / "results").glob("*/")
        (images, labels), _ = prepare.stand_in()
        clusters = runs.cluster_labels(runs.load_run(run_folder), images[labels == 6])  # students look at the pictures
        run(["grade.py", "--sample_index", str(np.bincount(clusters).argmax()), "--ddpm_steps", "20"], copy)
    path = hand_ins / f"{student.student_id}+{student.name}+LAB3.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (copy / "submission.py", *(copy / "results").glob("*/**/*")):
            archive.write(path, path.relative_to(copy).as_posix())
        if any(student.report):
            archive.writestr("report.pdf", b"%PDF-1.4\n% a report of the rehearsal\n")


def rows_of(path: Path) -> list[dict]:
    return [row.cells for row in tables.read(path, ["student_id"], None)[0]]


def play(folder: Path, students: list[Student] = CLASS) -> list[str]:
    """Play the whole course in an empty folder; returns what differs from the required results, the same anywhere."""
    staff, out, hand_ins, handed_out = (folder / name for name in ("staff", "grades", "hand_ins", "handout"))
    for made in (staff, hand_ins):
        made.mkdir()
    options = []
    if missing := bubblewrap.unavailable():
        print(f"bubblewrap {missing}: a real class is not graded so; these students are ours")
        options.append("--unsandboxed")
    print("\n1. the handout, which goes to the class")
    run(["-m", "staff.handout", str(handed_out)], ROOT)

    print("\n2. the students work at home, each in a copy of it")
    for student in students:
        print(f"  {student.name}: {student.about}", flush=True)
        hand_in(student, shutil.copytree(handed_out, folder / "homes" / student.student_id), hand_ins)

    print("\n3. the hand-ins are graded, with the class's roster, its deadline and the times of handing in")
    roster = [{name: getattr(student, name) for name in ABSENT} for student in students] + [ABSENT]
    tables.write(staff / "roster.csv", list(ABSENT), roster)
    times = [{"student_id": student.student_id, "submitted": student.submitted} for student in students]
    tables.write(staff / "times.csv", ["student_id", "submitted"], times)
    lists = ["--roster", staff / "roster.csv", "--times", staff / "times.csv"]
    rules = ["--deadline", DEADLINE, "--grace", "15m", "--penalty", PENALTY]
    grade_class(hand_ins, "--out", out, "--dataset", "digits", *lists, *rules, *options, home=staff)
    graded = rows_of(out / "gradebook.csv")
    show(graded, ("student_id", "name", *questions(catalog.MAIN), "auto_score", "late", "status"))

    if REGRADED in students:
        print("\n4. the right file of a student comes after grading")
        files.write_text(staff / "submission.py", solve({}))
        right = ["--file", staff / "submission.py", "--reason", "uploaded the handout by mistake"]
        grade_class("regrade", REGRADED.student_id, "--out", out, *right, *options, home=staff)
        graded = rows_of(out / "gradebook.csv")

    print("\n5. a person marks the reports by the rubric, decides what was left open, and merges")
    parts = rubric.parts(catalog.MAIN)
    columns = ["student_id", *parts, "sample_index", "performance", "status", "comment"]
    marks = []
    for student in students:
        report = dict(zip(parts, student.report, strict=True))
        marks.append(dict.fromkeys(columns) | {"student_id": student.student_id} | report | student.decided)
    tables.write(staff / "marks.csv", columns, marks)
    grade_class("merge", "--out", out, "--marks", staff / "marks.csv")
    final = rows_of(out / "final.csv")
    show(final, ("student_id", "name", "auto_score", "report_score", "penalty", "total", "undecided", "comment"))

    print("\n6. points and feedback go to the course system")
    for system, columns in EXPORTED.items():
        lines = [{columns[0]: one["name"], columns[-2]: one["student_id"]} for one in roster]
        tables.write(staff / f"{system}.csv", list(columns), [dict.fromkeys(columns) | line for line in lines])
        grade_class("export", "--out", out, "--for", system, "--gradebook", staff / f"{system}.csv")
    found = surprises(graded, final, students)
    if students == QUICK:
        return found

    print("\n7. the companion lab's solution and its skeleton are graded")
    hand_ins, out, lab = folder / "companion", folder / "companion_grades", catalog.load(COMPANION)
    for student, source in zip(students, (lab.source, handed_out / lab.source.relative_to(ROOT)), strict=False):
        shutil.copytree(source.parent, hand_ins / f"{student.student_id}+{student.name}+{COMPANION}")
    grade_class(hand_ins, "--out", out, "--lab", COMPANION, *options)
    points, right = [row["auto_score"] for row in rows_of(out / "gradebook.csv")], [f"{lab.points}", "0"]
    return found + [f"{COMPANION}: {points} instead of {right}"] * (points != right)


def show(rows: list[dict], columns: tuple[str, ...]) -> None:
    """Print some columns of a table."""
    lines = [columns, *([row[name] for name in columns] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    print()
    for line in lines:
        print("  " + "  ".join(map(str.ljust, line, widths)).rstrip())


def surprises(graded: list[dict], final: list[dict], students: list[Student] = CLASS) -> list[str]:
    """What differs from the required results in the rows of both gradebooks."""
    found = []
    by_id = {row["student_id"]: row for row in graded}
    for student in students:
        row, required = by_id.get(student.student_id, {}), REQUIRED | student.required
        if wrong := [f"{name} {row.get(name)}, not {cell}" for name, cell in required.items() if row.get(name) != cell]:
            found.append(f"{student.name}: {'; '.join(wrong)} ({row.get('note')})")
    if by_id.get(ABSENT["student_id"], {}).get("status") != "ABSENT":
        found.append(f"{ABSENT['name']}, who handed in nothing, has no row")
    return found + [f"{row['name']} is undecided: {row['undecided']}" for row in final if row["undecided"]]


def build_parser() -> argparse.ArgumentParser:
    about = "Play a whole course with five invented students: handout, hand-ins, grading, final gradebook."
    parser = cli.make_parser("python -m staff.rehearse", about)
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="new folder that keeps everything (default: none)")
    parser.add_argument("--quick", action="store_true", help="one student and no companion lab, in a third of the time")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    kept = args.folder and Path(args.folder).expanduser().resolve()
    if kept:
        files.check_new_folder(kept)
        kept.mkdir(parents=True, exist_ok=True)
    with contextlib.nullcontext(kept) if kept else tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        found = play(Path(folder).resolve(), QUICK if args.quick else CLASS)
    for line in found:
        print(f"not as planned: {line}")
    if found:
        print("do not grade a class on this machine yet: see docs/staff_reference.md, When something is wrong")
        return 1
    if kept:
        print(f"everything is in {kept}: see grades/summary.html and grades/feedback/")
    print("next: docs/staff.md, from Release on")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
