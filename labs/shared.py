"""What the companion labs share besides the main lab's modules: their runs' folders, common flags, data, checks.

path = shared.run_path("fashion_tutorial", args.results_path)
dataset = shared.prepare(["fashion_mnist"], args.dataset, args.data_dir)
"""

import argparse
import csv
import json
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import yaml

from hi_mnist import cli, files, runs
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS
from hi_mnist.files import ROOT
from hi_mnist.prepare import IDX_DIR_VARIABLE, ensure
from hi_mnist.runs import TrainConfig


def run_path(lab: str, results_path: str | None) -> Path:
    """Where a new run of a lab goes: ``results_path``, else ``results/<lab>-<now>``; checked before slow work starts.

    Raises:
        LabError: nothing new can be written there.
    """
    if results_path is not None:
        path = runs.new_run_path(results_path)
    else:
        path = files.results_dir() / f"{lab}-{datetime.now():%Y-%m-%d_%H-%M-%S}"
    files.check_new_folder(path)
    return path


def build_parser(lab: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """A parser with the flags that every lab has."""
    parser = cli.one_line_errors(
        argparse.ArgumentParser(
            prog=f"python -m labs.{lab}",
            allow_abbrev=False,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    parser.add_argument("--results_path", metavar="DIR", help=f"folder of this run (default: results/{lab}-<datetime>)")
    parser.add_argument("--seed", type=int, default=TrainConfig.seed, help="random seed (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="check the code of submission.py and do no more")
    return parser


def check_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise LabError(f"--seed must be between 0 and {2**32 - 1}, got {seed}")


def check_range(flag: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside ``low`` to ``high``; NaN is outside."""
    if not low <= value <= high:
        raise LabError(f"{flag} must be between {low:,} and {high:,}, got {value:,}")


def prepare(wanted: list[str], dataset: str | None, data_dir: str | None = None) -> str:
    """Make sure that a lab's data sets are prepared.

    Args:
        wanted: the data sets that the lab is about.
        dataset: what the user asked for by name, which is never replaced; None takes the offline stand-in where one
            of ``wanted`` cannot be had.
        data_dir: folder of IDX files of the (one) data set.

    Returns:
        ``digits``, the stand-in, or else the first of ``wanted`` or the one that was asked for.

    Raises:
        LabError: as ``prepare.ensure``; also where a folder of IDX files was named that is not usable.
    """
    if dataset is not None:
        return ensure(dataset, data_dir)
    for name in wanted:
        named = data_dir or os.environ.get(IDX_DIR_VARIABLE[name])
        try:
            if ensure(None if name == "mnist" else name, data_dir) == "digits":
                return ensure("digits")
        except LabError:
            if named:  # a folder that the user named must not be passed over
                raise
            print(f"{DATASETS[name]} cannot be had: taking {DATASETS['digits']}", flush=True)
            return ensure("digits")
    return wanted[0]


def write_settings(path: Path, settings: dict) -> None:
    """Write a run's resolved settings as ``config.yaml``."""
    files.write_text(path, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable]) -> None:
    """Write a table, whole or not at all."""
    with files.atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def save_figure(figure, path: Path) -> None:
    with files.atomic_path(path) as partial:
        figure.savefig(partial)


def check_submission(lab: str, questions: dict) -> int:
    """Check a lab's ``submission.py`` by the main lab's checker and print the table.

    Returns:
        the exit status.
    """
    from grading import table

    folder = ROOT / "labs" / lab
    source, tasks = ((folder / name).read_bytes() for name in ("submission.py", "tasks.py"))
    answered = table.check_code(source, questions=questions, tasks=tasks)
    points = sum(asked.points for asked in questions.values())
    print(table.table(answered))
    print(f"{'sum':<26}{sum(q['score'] for q in answered):>7.2f} /{points:>3}\n")
    print(table.guard_lines(table.summary(answered, points)["guards"]))
    return 0


def as_json(content) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
