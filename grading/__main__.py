"""Check the code of a submission, without data and without a trained run.

python -m grading submission.py                     all four questions
python -m grading submission.py --only e_step       one of them
python -m grading submission.py --json out.json     write the table as JSON as well
"""

import argparse
import json
import sys
from pathlib import Path

from grading import checks, table
from hi_mnist import cli, files
from hi_mnist.cli import LabError


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(
        "python -m grading",
        "Check the code of a submission: E-step, M-step, PCA and sampling, each in a process of its own.",
        "python -m grading submission.py --only m_step",
    )
    parser.add_argument("submission", type=Path, metavar="submission.py", help="the file to check")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to FILE as well")
    parser.add_argument("--only", choices=list(checks.QUESTIONS), help="check one question (default: all four)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="seed of the numbers to check with (default: 0)"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if not 0 <= args.seed < 2**32:
        raise LabError(f"--seed must be between 0 and {2**32 - 1}, got {args.seed}")
    source = checks.read_source(args.submission)
    if args.json and not args.json.resolve().parent.is_dir():
        raise LabError(f"--json {args.json}: there is no folder {args.json.resolve().parent}; make it first")
    questions = checks.check_code(source, only=[args.only] if args.only else None, seed=args.seed)
    points = sum(q["points"] for q in questions)
    result = table.summary(questions, points) | {"seed": args.seed}
    if args.json:
        files.write_text(args.json, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(table.table(questions))
    print(f"{'sum':<26}{result['auto_score']:>7.2f} /{points:>3}\n")
    print(table.guard_lines(result["guards"]))
    if args.json:
        print(f"wrote {args.json}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
