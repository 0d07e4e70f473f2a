"""Measure this project against the usual alternatives, both sides in turn in one run.

    python -m pip install -r benchmarks/requirements.txt     peers that nothing else needs
    python -m benchmarks                                     all cases: ten minutes on two cores
    python -m benchmarks --only em pca                       only these cases; other results are kept
    python -m benchmarks --quick --out ../quick              small sizes: does everything run?

The data are the lab's (MNIST_DIR, else prepared or downloaded data, else the stand-in). The results go to RESULTS.md in
benchmarks/; the README repeats five of its rows.
"""

import argparse
import importlib.util
import sys
import time
from pathlib import Path

from benchmarks import results, timing
from benchmarks.commands import chain, grading, startup
from benchmarks.functions import ae, ddpm, em, pca
from benchmarks.plan import Plan
from benchmarks.planes import tsne
from hi_mnist import cli, prepare
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS

CASES = {case.__name__: case for case in (em, pca, tsne, ae, ddpm, chain, grading, startup)}


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(
        "python -m benchmarks",
        "Measure the project beside the usual alternatives.",
        "python -m benchmarks --only em pca",
    )
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES), metavar="CASE",
                        help=f"cases to measure, of: {', '.join(CASES)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes, one round each; needs --out")
    about = "a checkout of version 0.1 to measure beside this one (git worktree add DIR f85f4bd)"
    parser.add_argument("--before", type=Path, metavar="DIR", help=about)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results (default: benchmarks/)")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    folder = (args.out or results.FOLDER).expanduser().resolve()
    if args.quick and folder == results.FOLDER:
        raise LabError("--quick measures too little for the results in benchmarks/; name another folder with --out")
    if "ddpm" in args.only and importlib.util.find_spec("diffusers") is None:
        raise LabError("diffusers is not installed; run: python -m pip install -r benchmarks/requirements.txt")
    if args.before and not (args.before / "submission.py").is_file():
        raise LabError(
            f"--before {args.before} is not a checkout of this project; git worktree add DIR f85f4bd makes one"
        )
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(prepare.ensure(), args.quick, args.before and args.before.resolve())
    print(f"data: {DATASETS[plan.dataset]}; results: {folder}")
    for name in args.only:
        print(f"\n{name}", flush=True)
        machine, start, rows = timing.machine(), time.perf_counter(), []
        for row in CASES[name](plan):
            rows.append(row)
            print(results.line(row), flush=True)
        about = f"{time.perf_counter() - start:.0f} s; data: {plan.dataset}; {machine}"
        results.write(folder, {name: results.section(name, rows, about)}, list(CASES))
    print(f"\nwrote {results.FILE} in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
