"""Grade one hand-in again, from its file or from a corrected one, without touching anybody else's.

    python -m staff.grade_class regrade ID --out OUT_DIR --file corrected.zip --reason "..."

A corrected file is copied to ``OUT_DIR/regraded/`` and counts from then on, also for ``--resume``.
"""

import argparse
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from grading import checks
from hi_mnist import cli, files
from hi_mnist.cli import LabError
from hi_mnist.text import listed, one_line
from staff import archives, audit, gradebook
from staff.archives import Found
from staff.entries import FOR_STAFF, display

REGRADES = "regrades.json"  # in OUT_DIR: the folder of the hand-ins; a file and notes for each that was regraded
FOLDER = "regraded"
_STAFF = re.compile(r"(?:^|\s*[;\uff1b])\s*staff\s*[:\uff1a]\s*", re.I)  # however it is typed


@dataclass
class Again:
    """One hand-in that is graded again, and its class."""

    hand_in: str
    file: Path | None  # counts instead of it; None for what counted so far
    reason: str
    graded: gradebook.Graded
    old: dict  # its row of the gradebook
    new: dict = field(default_factory=dict)

    def begin(self, out: Path, found: list[Found], regrades: dict) -> list[Found]:
        """Enter it in ``regrades``; returns the hand-ins of the gradebook: who is new waits. LabError if one lacks."""
        known = {*(row["hand_in"] for row in self.graded.rows), *self.graded.replaced} - {""}
        found = [one for one in found if one.hand_in in known]
        if gone := known - {one.hand_in for one in found}:
            raise LabError(f"the hand-ins' folder lacks {listed(sorted(gone))}; put it back, or first use --resume")
        one = regrades["regraded"].setdefault(self.hand_in, {"file": None, "notes": []})
        one["notes"].append(f"graded again on {date.today()}: {self.reason}")
        if self.file:
            one["file"] = self._copied(out)
        return found

    def _copied(self, out: Path) -> str:
        """Copy the file or folder beside those of earlier regrades; returns where to, in ``FOLDER``."""
        folder = out / FOLDER / gradebook.file_name(self.hand_in)
        folder /= str(1 + len(list(folder.glob("*"))))
        name = display(self.file.name)[-60:]
        with files.new_folder(folder) as partial:
            try:
                if self.file.is_dir():
                    shutil.copytree(self.file, partial / name, symlinks=True)
                else:
                    shutil.copyfile(self.file, partial / name)
            except shutil.Error as error:  # of a folder: a list of what was not copied, and why
                raise LabError(f"{one_line(error.args[0][0][2])}; take it out of {self.file}") from None
        return f"{folder.relative_to(out / FOLDER).as_posix()}/{name}"

    def end(self, out: Path, rows: list[gradebook.Row]) -> None:
        """Log what changed, before it counts."""
        self.new = next(row.cells() for row in rows if row.hand_in == self.hand_in)
        student, names = self.old["student_id"] or self.hand_in, gradebook.questions(self.graded.lab)
        changed = [name for name in (*names, "auto_score") if self.old[name] != self.new[name] or name == "auto_score"]
        audit.add(out, [("regrade", student, name, self.old[name], self.new[name], self.reason) for name in changed])


def load(out: Path) -> dict:
    """``handins``, the folder of the hand-ins, and ``regraded``, file and notes by hand-in. LabError if damaged."""
    path = out / REGRADES
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        regraded = {name: {key: one[key] for key in ("file", "notes")} for name, one in content["regraded"].items()}
        return {"handins": content["handins"], "regraded": regraded}
    except FileNotFoundError:
        return {"handins": None, "regraded": {}}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise LabError(f"{path} is damaged; restore it from a copy of {out}") from None


def save(out: Path, regrades: dict) -> None:
    files.write_text(out / REGRADES, json.dumps(regrades, indent=2) + "\n")  # ASCII, for names that are not UTF-8


def applied(out: Path, found: list[Found], regrades: dict) -> tuple[list[Found], list[str]]:
    """The hand-ins with the files and notes of all regrades, and lines for the summary. LabError: a file is missing."""
    made, told = [], []
    for one in found:
        kept = regrades["regraded"].get(one.hand_in, {"file": None, "notes": []})
        now = {"notes": tuple(kept["notes"])}
        if kept["file"]:
            path = out / FOLDER / kept["file"]
            if not path.exists():
                raise LabError(f"{path} is missing, from which {one.hand_in} was graded again; put it back")
            now["code" if is_code(path) else "path"] = path
            told.append(f"{one.hand_in} is graded from {FOLDER}/{kept['file']}, not from the file in the folder")
        made.append(replace(one, **now))
    return made, told


def is_code(path: Path) -> bool:
    """Whether a file replaces the submission.py in a hand-in, not the hand-in."""
    return path.suffix.lower() == ".py" and path.is_file()


def parser_for_one(command: str, about: str, *examples: str) -> argparse.ArgumentParser:
    """A parser of a command on one hand-in of a graded class."""
    parser = cli.make_parser(f"python -m staff.grade_class {command}", about, *examples)
    parser.add_argument("student", metavar="ID", help="student_id, or the name of the hand-in, as in the gradebook")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT_DIR", help="where the class was graded")
    parser.add_argument("--unsandboxed", action="store_true", help="without bubblewrap, as for the class")
    return parser


def build_parser() -> argparse.ArgumentParser:
    about = "Grade one hand-in again with the class's key and settings: prints old and new points, and logs them."
    example = 'python -m staff.grade_class regrade 2100000003 --out grades --file fixed.zip --reason "wrong file"'
    parser = parser_for_one("regrade", about, example)
    text = "a zip or folder that counts instead of the hand-in from now on, or a submission.py instead of the one in it"
    parser.add_argument("--file", type=Path, metavar="FILE", help=text)
    text = f'why: for audit.csv and for the student, who does not read what follows "{FOR_STAFF.strip()}"'
    parser.add_argument("--reason", required=True, help=text)
    return parser


def main(argv: list[str], class_parser: argparse.ArgumentParser, grade: Callable) -> int:
    """Regrade one; ``grade(args, again=Again)`` grades it with the class's flags, which ``class_parser`` knows."""
    args = build_parser().parse_args(argv)
    out, reason = args.out.expanduser().resolve(), _STAFF.sub(FOR_STAFF, one_line(args.reason, 500), count=1)
    if not reason:
        raise LabError("--reason is empty; say why, for the log and for the student")
    graded = gradebook.load(out, whole=True)
    old = graded.row(args.student)
    class_args = class_parser.parse_args(flags_of_class(graded, out))
    class_args.unsandboxed = args.unsandboxed
    file = args.file and checked(args.file.expanduser().resolve(), out, graded.lab)
    again = Again(old["hand_in"], file, reason, graded, old)
    grade(class_args, again=again)
    print(f"{again.hand_in}\n  {'':30} {'old':>8} {'new':>8}")
    labels = {name: asked.label for name, asked in gradebook.questions(graded.lab).items()} | {"auto_score": "sum"}
    for name, label in labels.items():
        print(f"  {label:30} {gradebook.given(old[name]):>8} {gradebook.given(again.new[name]):>8}")
    print(f"  {'status':30} {old['status']:>8} {again.new['status']:>8}\n{again.new['note']}")
    print("next: merge again, which brings final.csv and this student's feedback up to date")
    return 0


def checked(file: Path, out: Path, lab: str) -> Path:
    """A corrected file that can count. LabError if it holds no code, or the class."""
    if out.is_relative_to(file):
        raise LabError(f"--file {file} holds --out {out}; name a hand-in")
    handin = archives.HandIn("") if is_code(file) else archives.read(Found(file, "", "", "", "", lab))
    source = checks.read_source(file) if is_code(file) else handin.source or b""
    if not source.strip():
        cause = handin.refused or "it has no submission.py, or an empty one"
        raise LabError(f"--file {file}: {cause}; name the file that counts")
    return file


def flags_of_class(graded: gradebook.Graded, out: Path) -> list[str]:
    """The command line with which a class goes on as its records were made. Version 0.2 kept no ``handins``."""
    if (handins := load(out)["handins"]) is None:
        raise LabError(f"{out / REGRADES} does not name the folder with the hand-ins; first use --resume")
    records = (gradebook.load_record(out, row["hand_in"]) for row in graded.rows)
    made = next(filter(None, records), {"settings": {}})["settings"]
    flags = ["--dataset", made.get("dataset", "mnist"), "--variant-by", made.get("variant", "id"), "--lab", graded.lab]
    rerun = [] if made.get("rerun", True) else ["--no-rerun"]
    return [handins, "--out", str(out), "--resume", "--jobs", "1", *flags, *rerun]
