"""The class's key, from which nobody but the staff can tell a student's numbers, and a question of theirs asked again.

python -m staff.grade_class repeat ID --out OUT_DIR --only e_step
"""

import argparse
import hashlib
import re
import secrets
from pathlib import Path

from grading import checks, table
from hi_mnist.cli import LabError
from hi_mnist.files import atomic_path
from labs import catalog
from sandbox import bubblewrap
from staff import grade_one, gradebook, regrade

KEY = "key"  # its file in OUT_DIR
ROUNDS = 200_000  # a tenth of a second, so that guessing a --seed is slow


def key_of(seed: int | None) -> str:
    """A key as 64 hexadecimal digits: always the same for a seed, a new one for None."""
    if seed is None:
        return secrets.token_hex(32)
    return hashlib.pbkdf2_hmac("sha256", str(seed).encode(), b"HI MNIST", ROUNDS).hex()


def read_key(out: Path) -> str | None:
    """The key of a class; None if it has none yet. LabError: the file is damaged."""
    try:
        text = (out / KEY).read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise LabError(f"{out / KEY} does not hold 64 hexadecimal digits; restore it, or name another --out")
    return text


def write_key(out: Path, key: str) -> None:
    """Keep the key where only its owner can read it."""
    with atomic_path(out / KEY) as partial:
        partial.touch(mode=0o600)
        partial.write_text(f"{key}\n", encoding="utf-8")


def build_parser() -> argparse.ArgumentParser:
    about = "Ask a student's code again, with the numbers of the class's grading: prints the table."
    example = "python -m staff.grade_class repeat 2100000003 --out grades --only e_step"
    parser = regrade.parser_for_one("repeat", about, example)
    text = "another submission.py (default: the one that was graded)"
    parser.add_argument("code", type=Path, nargs="?", metavar="CODE", help=text)
    parser.add_argument("--only", metavar="QUESTION", help="ask one question (default: all)")
    return parser


def main(argv: list[str]) -> int:
    args = build_parser().parse_args(argv)
    out = args.out.expanduser().resolve()
    key, graded = read_key(out), gradebook.load(out)
    row, lab = graded.row(args.student), catalog.load(graded.lab)
    names = lab.only(args.only)
    if not args.unsandboxed:
        bubblewrap.require()
    if key is None:
        raise LabError(f"{out} has no file {KEY}; put it back, or the numbers are others")
    source = checks.read_source(args.code or gradebook.kept_files(out, row["hand_in"]) / "submission.py")
    # The hand-in's own id, with which it was graded: the gradebook has the roster's.
    record = gradebook.load_record(out, row["hand_in"]) or row | {"settings": {}}
    variant = record["settings"].get("variant", "id")
    seeds = grade_one.seeds(key, variant, record["student_id"] or record["hand_in"], lab)
    print(f"{row['hand_in']}\n{table.table(lab.check(source, only=names, seed=seeds))}")
    return 0
