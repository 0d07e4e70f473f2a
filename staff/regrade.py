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
from hi_mnist.holders import lock
from hi_mnist.text import one_line
from staff import audit, gradebook
from staff.archives import Found
from staff.entries import ARCHIVE_SUFFIXES, FOR_STAFF

CLASS, REGRADED = "class.json", "regraded.json"  # in OUT_DIR: how the class was graded, and what was graded again
FOLDER = "regraded"
# Flags of one command, not of the class; answers of --indices are in the records.
NOT_KEPT = ("out", "resume", "seed", "jobs", "backend", "scheduler", "unsandboxed", "indices", "rubric", "data_dir")


def remember(args: argparse.Namespace) -> None:
    """Keep the flags with which a class is graded."""
    kept = {name: value for name, value in vars(args).items() if name not in NOT_KEPT}
    kept |= {name: value.expanduser().resolve() for name, value in kept.items() if isinstance(value, Path)}
    _write(args.out / CLASS, kept)


def applied(out: Path, found: list[Found]) -> tuple[list[Found], list[str]]:
    """The hand-ins with the files and notes of all regrades, and lines on them for the summary.

    Raises:
        LabError: a file is missing, or the list of them is damaged.
    """
    regrades, changed, told = _read(out / REGRADED), [], []
    for one in found:
        kept = regrades.get(one.hand_in, {"file": None, "notes": ()})
        one = replace(one, notes=tuple(kept["notes"]))
        if kept["file"]:
            path = out / FOLDER / kept["file"]
            if not path.exists():
                raise LabError(f"{path} is missing, from which {one.hand_in} was graded again; put it back")
            one = replace(one, code=path) if path.suffix.lower() == ".py" else replace(one, path=path)
            told.append(f"{one.hand_in} is graded from {FOLDER}/{kept['file']}, not from the file in the folder")
        changed.append(one)
    return changed, told


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise LabError(f"{path} is damaged; restore it from a copy of OUT_DIR") from None


def _write(path: Path, content: dict) -> None:
    files.write_text(path, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")


def _copied(file: Path, out: Path, hand_in: str) -> str:
    """Copy a corrected file or folder beside those of earlier regrades; returns where to, in ``FOLDER``."""
    folder = out / FOLDER / gradebook.file_name(hand_in)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{1 + len(list(folder.iterdir()))}-{file.name}"
    if file.is_dir():
        with files.new_folder(copy) as partial:
            shutil.copytree(file, partial, symlinks=True, dirs_exist_ok=True)
    else:
        with files.atomic_path(copy) as partial:
            shutil.copyfile(file, partial)
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
    """Regrade one.

    Args:
        argv: the command line.
        class_parser: that of the class's grading, whose flags are used again.
        grade: ``grade(class_args, hand_in, known)`` grades one of the known hand-ins and writes everything.
    """
    args = build_parser().parse_args(argv)
    out, reason = args.out.expanduser().resolve(), one_line(args.reason, 500)
    file = args.file and args.file.expanduser().resolve()
    if not reason:
        raise LabError("--reason is empty; say why, for the log and for the student")
    if file and not file.is_dir() and not (file.is_file() and file.suffix.lower() in (".py", *ARCHIVE_SUFFIXES)):
        raise LabError(f"--file {file} is neither an archive nor a folder nor a submission.py; name one of them")
    with lock(out / gradebook.LOCK, f"--out {out}"):
        graded = gradebook.load(out)
        old = graded.row(args.student)
        if graded.missing or not old["hand_in"]:
            raise LabError(f"{args.student} has no hand-in, or some are not graded yet; grade them with --resume")
        class_args = flags_of_class(class_parser, out, old["hand_in"], args)
        before = _read(out / REGRADED)
        audit.add(out, [])
        kept = before.get(old["hand_in"], {"file": None, "notes": []})
        notes = [*kept["notes"], f"graded again on {date.today()}: {reason}"]
        now = {"file": _copied(file, out, old["hand_in"]) if file else kept["file"], "notes": notes}
        _write(out / REGRADED, before | {old["hand_in"]: now})
        try:
            grade(class_args, old["hand_in"], {row["hand_in"] for row in graded.rows} | set(graded.replaced))
        except BaseException:
            _write(out / REGRADED, before)
            raise
        new = gradebook.load(out).row(old["hand_in"])
        labels = {name: asked.label for name, asked in gradebook.questions(graded.lab).items()} | {"auto_score": "sum"}
        changed = [name for name in labels if old[name] != new[name] or name == "auto_score"]
        student = old["student_id"] or old["hand_in"]
        audit.add(out, [("regrade", student, name, old[name], new[name], reason) for name in changed])
    print(f"{old['hand_in']}\n  {'':30} {'old':>8} {'new':>8}")
    for name, label in labels.items():
        print(f"  {label:30} {gradebook.given(old[name]):>8} {gradebook.given(new[name]):>8}")
    print(f"  {'status':30} {old['status']:>8} {new['status']:>8}\n{new['note']}")
    print("next: merge again, which brings final.csv and this student's feedback up to date")
    return 0


def flags_of_class(parser: argparse.ArgumentParser, out: Path, hand_in: str, args) -> argparse.Namespace:
    """The flags with which the class was graded, as it was remembered and as the record of ``hand_in`` says.

    Raises:
        LabError: nobody names the folder with the hand-ins, which earlier versions did not remember.
    """
    kept, made = _read(out / CLASS), (gradebook.load_record(out, hand_in) or {}).get("settings", {})
    handins = args.handins or kept.pop("handins", None)
    if handins is None:
        raise LabError(f"{out / CLASS} does not name the folder with the hand-ins; name it after {hand_in}")
    names = {"lab": "lab", "dataset": "dataset", "variant": "variant_by"}
    kept |= {flag: made[name] for name, flag in names.items() if name in made} | {
        "unsandboxed": args.unsandboxed,
        "jobs": 1,
    }
    kept |= {"no_rerun": not made["rerun"]} if "rerun" in made else {}
    parser.set_defaults(**kept)
    return parser.parse_args([str(handins), "--out", str(out), "--resume"])
