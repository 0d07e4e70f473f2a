"""Check the code of a submission, without data and without a trained run: python -m grading submission.py."""

import argparse
import json
import sys
from pathlib import Path

from grading import checks, table
from hi_mnist import cli, files
from hi_mnist.cli import LabError
from labs import catalog


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(
        "python -m grading",
        "Check the code of a submission, each question in a process of its own.",
        "python -m grading submission.py --only m_step",
        "python -m grading labs/fashion_tutorial/submission.py --lab fashion_tutorial",
    )
    parser.add_argument("submission", type=Path, metavar="submission.py", help="the file to check")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to FILE as well")
    parser.add_argument("--lab", choices=catalog.names(), default=catalog.MAIN, help="whose questions (default: main)")
    text = f"check one question (default: all; of the main lab: {', '.join(checks.QUESTIONS)})"
    parser.add_argument("--only", metavar="QUESTION", help=text)
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the numbers (default: 0)")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if not 0 <= args.seed < 2**32:
        raise LabError(f"--seed must be between 0 and {2**32 - 1}, got {args.seed}")
    lab = catalog.load(args.lab)
    lab.only(args.only)  # before the file is looked at
    source = checks.read_source(args.submission)
    if args.json and (args.json.is_dir() or not args.json.resolve().parent.is_dir()):
        raise LabError(f"--json {args.json}: it is a folder, or in none; name a file in a folder that there is")
    result = lab.result(source, args.only, args.seed)
    if args.json:
        files.write_text(args.json, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(table.whole(result))
    if args.json:
        print(f"wrote {args.json}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
