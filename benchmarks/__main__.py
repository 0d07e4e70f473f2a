"""Measure this project against what a user would pick instead, both sides in turn in one run.

    python -m pip install -r benchmarks/requirements.txt     the peers that nothing else needs
    python -m benchmarks                                     all cases: a quarter of an hour on two cores
    python -m benchmarks --only em pca                       these cases; the others' results stay
    python -m benchmarks --quick --out ../quick              small sizes: does everything run?

Data as for the lab (MNIST_DIR, else what is prepared or can be downloaded, else the stand-in). The results go to
RESULTS.json, RESULTS.md and speed.png in benchmarks/; ``python -m benchmarks.results`` puts the README's table right.
"""

import argparse
import importlib.util
import sys
import time
from datetime import date
from pathlib import Path

from benchmarks import results, timing
from benchmarks.cases import CASES, Plan
from hi_mnist import cli
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS

PEERS = {"datasets": "data", "diffusers": "ddpm"}  # package -> the case that needs it


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        allow_abbrev=False,
        description="Measure the project beside what a user would pick instead.",
        epilog="example: python -m benchmarks --only em pca",
    )
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES), metavar="CASE",
                        help=f"some cases of: {', '.join(CASES)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes, once each; needs --out")
    parser.add_argument("--full", action="store_true", help="run scikit-learn's t-SNE too, not a saved figure")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (default: benchmarks/)")
    return cli.one_line_errors(parser)


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # a module without a specification
        return False


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    folder = (args.out or results.FOLDER).expanduser().resolve()
    if args.quick and folder == results.FOLDER:
        raise LabError("--quick measures too little for the results in benchmarks/; name another folder by --out")
    folder.mkdir(parents=True, exist_ok=True)
    results.load(folder)  # what cannot be added to is refused before the work
    absent = [package for package, case in PEERS.items() if case in args.only and not _installed(package)]
    if absent:
        raise LabError(f"{absent[0]} is not installed; run: python -m pip install -r benchmarks/requirements.txt")
    plan = Plan(quick=args.quick, full=args.full)
    print(f"data: {DATASETS[plan.dataset]}; results: {folder}")
    for name in args.only:
        print(f"\n{name}", flush=True)
        machine, start, rows = timing.machine(), time.perf_counter(), []
        for row in CASES[name](plan):
            rows.append(row)
            what, peer, ours, theirs, ratio, promised, kept, *_ = results.cells(row)
            beside = f"  {theirs:>9}  {ratio:>7}  {peer}" if theirs else ""
            print(f"  {what:<52} {ours:>9}{beside}" + (f"  [{promised}: {kept}]" if promised else ""), flush=True)
        facts = {
            "measured": date.today().isoformat(),
            "machine": machine,
            "dataset": plan.dataset,
            "seconds": time.perf_counter() - start,
        }
        known = results.load(folder) | {name: results.entry(rows, **facts)}
        results.write({case: known[case] for case in CASES if case in known}, folder)
    print(f"\nwrote RESULTS.md, RESULTS.json and speed.png in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
