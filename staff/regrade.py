"""Grade one hand-in again, from its file or from a corrected one, without touching anybody else's.

    python -m staff.grade_class regrade ID --out OUT_DIR --file corrected.zip --reason "..."

A corrected file is copied to ``OUT_DIR/regraded/`` and counts from then on, also for ``--resume``.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

from hi_mnist import cli, files
from hi_mnist.cli import LabError
from hi_mnist.text import listed, one_line
from staff import audit, gradebook
from staff.archives import Found
from staff.entries import ARCHIVE_SUFFIXES, FOR_STAFF

REGRADES = "regrades.json"  # in OUT_DIR: the folder of the hand-ins; a file and notes for each that was regraded
FOLDER = "regraded"


def remember(out: Path, handins: Path) -> None:
    """Keep where the hand-ins of a class are."""
    _write(out, _read(out) | {"handins": str(handins)})


def applied(out: Path, found: list[Found], again: str = "") -> tuple[list[Found], list[str]]:
    """The hand-ins with the files and notes of all regrades, and lines on them for the summary.

    Args:
        out: the class's folder.
        found: the hand-ins as they are in theirs.
        again: the only one that is graded now. Then the others are those of the gradebook: who is new waits.

    Raises:
        LabError: a hand-in or the file of a regrade is missing, or the list of regrades is damaged.
    """
    if again:
        graded = gradebook.load(out)
        known = {*(row["hand_in"] for row in graded.rows), *graded.replaced} - {""}
        found = [one for one in found if one.hand_in in known]
        if gone := known - {one.hand_in for one in found}:
            raise LabError(f"the hand-ins' folder lacks {listed(sorted(gone))}; put it back, or first use --resume")
    regrades, told = _read(out)["regraded"], []
    for i, one in enumerate(found):
        kept = regrades.get(one.hand_in, {"file": None, "notes": []})
        found[i] = replace(one, notes=tuple(kept["notes"]))
        if kept["file"]:
            path = out / FOLDER / kept["file"]
            if not path.exists():
                raise LabError(f"{path} is missing, from which {one.hand_in} was graded again; put it back")
            found[i] = replace(found[i], **{"code" if path.suffix.lower() == ".py" else "path": path})
            told.append(f"{one.hand_in} is graded from {FOLDER}/{kept['file']}, not from the file in the folder")
    return found, told


def _read(out: Path) -> dict:
    path = out / REGRADES
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"handins": None, "regraded": {}}
    except ValueError:
        raise LabError(f"{path} is damaged; restore it from a copy of {out}") from None


def _write(out: Path, content: dict) -> None:
    files.write_text(out / REGRADES, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _copied(file: Path, out: Path, hand_in: str) -> str:
    """Copy a corrected file or folder beside those of earlier regrades; returns where to, in ``FOLDER``."""
    folder = out / FOLDER / gradebook.file_name(hand_in)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{1 + len(list(folder.iterdir()))}-{file.name}"
    shutil.copytree(file, copy, symlinks=True) if file.is_dir() else shutil.copyfile(file, copy)
    return copy.relative_to(out / FOLDER).as_posix()


def build_parser() -> argparse.ArgumentParser:
    about = "Grade one hand-in again with the class's key and settings: prints old and new points, and logs them."
    example = 'python -m staff.grade_class regrade 2100000003 --out grades --file fixed.zip --reason "wrong file"'
    parser = cli.make_parser("python -m staff.grade_class regrade", about, example)
    parser.add_argument("student", metavar="ID", help="student_id, or the name of the hand-in, as in the gradebook")
    text = "the folder with the hand-ins (default: that from which the class was graded)"
    parser.add_argument("handins", type=Path, nargs="?", metavar="HANDINS_DIR", help=text)
    parser.add_argument("--out", type=Path, required=True, metavar="OUT_DIR", help="where the class was graded")
    text = "a zip or folder that counts instead of the hand-in from now on, or a submission.py instead of the one in it"
    parser.add_argument("--file", type=Path, metavar="FILE", help=text)
    text = f'why: for audit.csv and for the student, who does not read what follows "{FOR_STAFF.strip()}"'
    parser.add_argument("--reason", required=True, help=text)
    parser.add_argument("--unsandboxed", action="store_true", help="without bubblewrap, as for the class")
    return parser


def main(argv: list[str], class_parser: argparse.ArgumentParser, grade: Callable) -> int:
    """Regrade one; ``grade(args, again=hand_in)`` grades it with the class's flags, which ``class_parser`` knows."""
    args = build_parser().parse_args(argv)
    out, reason = args.out.expanduser().resolve(), one_line(args.reason, 500)
    file = args.file and args.file.expanduser().resolve()
    if not reason:
        raise LabError("--reason is empty; say why, for the log and for the student")
    if file and not file.is_dir() and not (file.is_file() and file.suffix.lower() in (".py", *ARCHIVE_SUFFIXES)):
        raise LabError(f"--file {file} is neither an archive nor a folder nor a submission.py; name one of them")
    graded = gradebook.load(out)
    old = graded.row(args.student)
    hand_in, student = old["hand_in"], old["student_id"] or old["hand_in"]
    if graded.missing or not hand_in:
        cause = "some hand-ins are not graded yet" if graded.missing else f"{student} handed nothing in"
        raise LabError(f"{cause}; put what there is into the hand-ins' folder and grade with --resume")
    audit.add(out, [])
    before = _read(out)
    class_args = class_parser.parse_args(flags_of_class(graded, out, args.handins or before["handins"]))
    class_args.unsandboxed = args.unsandboxed
    note = f"graded again on {date.today()}: {reason}"
    one = before["regraded"].get(hand_in, {"file": None, "notes": []})
    one = {"file": _copied(file, out, hand_in) if file else one["file"], "notes": [*one["notes"], note]}
    _write(out, before | {"regraded": before["regraded"] | {hand_in: one}})
    try:
        grade(class_args, again=hand_in)
    except BaseException:
        _write(out, before)
        raise
    new = gradebook.load(out).row(hand_in)
    labels = {name: asked.label for name, asked in gradebook.questions(graded.lab).items()} | {"auto_score": "sum"}
    changed = [name for name in labels if old[name] != new[name] or name == "auto_score"]
    audit.add(out, [("regrade", student, name, old[name], new[name], reason) for name in changed])
    print(f"{hand_in}\n  {'':30} {'old':>8} {'new':>8}")
    for name, label in labels.items():
        print(f"  {label:30} {gradebook.given(old[name]):>8} {gradebook.given(new[name]):>8}")
    print(f"  {'status':30} {old['status']:>8} {new['status']:>8}\n{new['note']}")
    print("next: merge again, which brings final.csv and this student's feedback up to date")
    return 0


def flags_of_class(graded: gradebook.Graded, out: Path, handins: str | Path | None) -> list[str]:
    """The command line with which a class goes on as its records were made.

    Raises:
        LabError: nobody says where the hand-ins are; earlier versions did not keep that.
    """
    if handins is None:
        raise LabError(f"{out / REGRADES} does not name the folder with the hand-ins; name it after the id")
    records = (gradebook.load_record(out, row["hand_in"]) for row in graded.rows)
    made = next(filter(None, records), {"settings": {}})["settings"]
    flags = ["--dataset", made.get("dataset", "mnist"), "--variant-by", made.get("variant", "id"), "--lab", graded.lab]
    rerun = [] if made.get("rerun", True) else ["--no-rerun"]
    return [str(handins), "--out", str(out), "--resume", "--jobs", "1", *flags, *rerun]
