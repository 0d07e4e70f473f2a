"""Measure this project against the usual alternatives, both sides in turn in one run.

    python -m pip install -r benchmarks/requirements.txt     peers that nothing else needs
    python -m benchmarks                                     all cases: a quarter of an hour on two cores
    python -m benchmarks --only em pca                       only these cases
    python -m benchmarks --quick                             small sizes: does everything run?

The data are the lab's (MNIST_DIR, else prepared or downloaded data, else the stand-in). It prints sections for
RESULTS.md, of which the README repeats some rows.
"""

import argparse
import importlib.util
import sys
import time
from pathlib import Path

from benchmarks import results, timing
from benchmarks.commands import grading
from benchmarks.functions import ae, ddpm, em, pca
from benchmarks.planes import tsne
from benchmarks.timing import Plan
from hi_mnist import cli, prepare
from hi_mnist.cli import LabError

CASES = {case.__name__: case for case in (em, pca, tsne, ae, ddpm, grading)}


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(
        "python -m benchmarks",
        "Measure the project beside the usual alternatives.",
        "python -m benchmarks --only em pca",
    )
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES), metavar="CASE",
                        help=f"cases to measure, of: {', '.join(CASES)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes, one round each")
    about = "a checkout of version 0.1 to measure beside this one (git worktree add DIR f85f4bd)"
    parser.add_argument("--before", type=Path, metavar="DIR", help=about)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if "ddpm" in args.only and importlib.util.find_spec("diffusers") is None:
        raise LabError("diffusers is not installed; run: python -m pip install -r benchmarks/requirements.txt")
    if args.before and not (args.before / "submission.py").is_file():
        raise LabError(f"--before {args.before} is not a checkout of this project; git worktree add makes one")
    plan = Plan(prepare.ensure(), args.quick, args.before and args.before.resolve())
    for name in args.only:
        machine, start, rows = timing.machine(), time.perf_counter(), list(CASES[name](plan))
        about = f"{time.perf_counter() - start:.0f} s; data: {plan.dataset}; {machine}"
        print(results.section(name, rows, about), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
