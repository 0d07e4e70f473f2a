"""What the companion labs share besides the main lab's modules: flags, data, a run's folder, pictures, checks."""

import argparse
import ast
import csv
import dataclasses
import importlib.util
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from tqdm import tqdm

from hi_mnist import cli, files, networks, runs, settings, slips
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS
from hi_mnist.files import ROOT
from hi_mnist.prepare import IDX_DIR_VARIABLE, ensure
from hi_mnist.runs import TrainConfig
from hi_mnist.settings import setting

NO_UMAP = "UMAP is not installed (python -m pip install umap-learn), so it is left out"


@dataclasses.dataclass(frozen=True)
class Settings:
    """The setting that every lab has; theirs are derived from it."""

    seed: int = setting(TrainConfig.seed, "random seed", low=0, high=2**32 - 1)


def build_parser(lab: str, kind: type, about: str, *examples: str, wanted: str = "") -> argparse.ArgumentParser:
    """A parser with the flags that every lab has, those of ``kind``, a dataclass, and for ``wanted``, its data set."""
    command = f"python -m labs.{lab}"
    parser = cli.make_parser(command, about, *(f"{command} {flags}".rstrip() for flags in examples))
    cli.add_options(parser, results_path=f"folder of this run (default: results/{lab}-<datetime>)")
    parser.add_argument("--check", action="store_true", help="check the code of submission.py and do no more")
    settings.add_flags(parser, kind, defaults=False)
    if wanted:
        text = f"what to learn (default: {DATASETS[wanted]}, or the offline stand-in where it cannot be had)"
        parser.add_argument("--dataset", type=str.lower, choices=list(DATASETS), help=text)
        text = f"folder of the IDX files, gzipped or not (default: {IDX_DIR_VARIABLE[wanted]}, else download)"
        cli.add_options(parser, data_dir=text)
    return parser


def run_path(lab: str, results_path: str | None, name: str | None = None) -> AbstractContextManager[Path]:
    """Where a run of a lab goes: ``results_path``, else ``results/<lab>-<name>``; the time is the name of a new one."""
    if results_path is None and name:
        results_path = str(files.results_dir() / f"{lab}-{name}")
    return runs.new_run_path(results_path, f"{lab}-")


def prepare(wanted: str, dataset: str | None, data_dir: str | None = None) -> str:
    """Make sure that a data set is prepared: ``dataset``, else ``wanted`` or ``digits``, the stand-in: its name.

    What the user asked for, by name or as a folder ``data_dir`` of IDX files, is never replaced: LabError is raised.
    """
    if dataset is not None:
        return ensure(dataset, data_dir)
    try:
        found = ensure(None if wanted == "mnist" else wanted, data_dir)
    except LabError:
        if data_dir or os.environ.get(IDX_DIR_VARIABLE[wanted]):  # what the user named must not be passed over
            raise
        print(f"{DATASETS[wanted]} cannot be had: taking {DATASETS['digits']}", flush=True)
        found = "digits"
    return found if found == wanted else ensure("digits")


def in_batches(function: Callable, rows, device, size: int = 1000):
    """``function`` of rows, an array or tensor (N, ...), on ``device`` and without gradients: an array (N, ...)."""
    import torch

    with torch.inference_mode():
        return torch.cat([function(batch.to(device)).cpu() for batch in torch.as_tensor(rows).split(size)]).numpy()


def has_umap() -> bool:
    return importlib.util.find_spec("umap") is not None


def progress(items: Iterable | None = None, **how) -> tqdm:
    """A progress bar that shows up after a second and leaves nothing behind."""
    return tqdm(items, delay=1, leave=False, ascii=True, **how)


def write_run(path: Path, lab: str, facts: dict, pictures: dict, tables: dict[str, tuple], model=None) -> None:
    """Write the folder of a run, new or empty, whole or not at all.

    ``facts`` go into ``config.yaml``; figures and CSV files, each of a header and rows, are given by name.
    """
    with files.new_folder(path) as folder:
        for name, figure in pictures.items():
            save_figure(figure, folder / f"{name}.png")
        for name, (header, rows) in tables.items():
            write_csv(folder / f"{name}.csv", header, rows)
        if model is not None:
            networks.save_network(model, folder / "model")
        settings.save({"lab": lab, **facts}, folder / "config.yaml")


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable]) -> None:
    """Write a table, whole or not at all."""
    with files.atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def save_figure(figure, path: Path) -> None:
    with files.atomic_path(path) as partial:
        figure.savefig(partial)


def text_table(header: Iterable, rows: Iterable[Iterable]) -> str:
    """Rows for a console, in columns as wide as they need, the first one flush left."""
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(n) if i else cell.ljust(n) for i, (cell, n) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    )


def panels(columns: int, width: float, height: float, **how):
    """A figure of so many axes in a row, and these; ``how`` are arguments of ``subplots``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False, **how)[0]


def picture_grid(rows: Iterable[Iterable], left: Iterable[str] = (), top: Iterable[str] = (), title="", **how):
    """A figure of small images in rows, grey (H, W) in [0, 1] or colour (H, W, 3); None leaves a gap.

    ``left`` and ``top`` hold a text for each row and column; ``how`` replaces arguments of ``imshow``.
    """
    from matplotlib.figure import Figure

    rows, left = [list(row) for row in rows], list(left)
    n_columns = max(map(len, rows))
    size = (0.8 * n_columns + (1.8 if left else 0), 0.85 * len(rows) + (0.7 if title else 0.2))
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    axes = figure.subplots(len(rows), n_columns, squeeze=False)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[], frame_on=False)
    for line, images in zip(axes, rows, strict=True):
        for ax, image in zip(line, images, strict=False):
            if image is not None:
                ax.imshow(image, **({"cmap": "gray", "vmin": 0, "vmax": 1} | how))
    for ax, text in zip(axes[:, 0], left, strict=False):
        ax.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=9)
    for ax, text in zip(axes[0], top, strict=False):
        ax.set_title(text, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def check_filled(lab: str, but: tuple[str, ...] = ()) -> None:
    """Raise LabError where tasks of a lab's ``submission.py``, ``but`` those of numbers as "4.1", are as handed out."""
    path, left = ROOT / "labs" / lab / "submission.py", []
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # which the import tells
        return
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for statement in function.body:
            label = slips.left_out(statement)
            left += [(statement.lineno, label.partition(":")[0])] if label and not label.startswith(but) else []
            if isinstance(statement, ast.Return | ast.Raise):
                break  # what follows is not reached
    if left:
        told = "; ".join(f"line {line}: {label}" for line, label in sorted(left))
        raise LabError(f"tasks of {path} are not filled in, or their `raise` still stands: {told}")


def check_submission(lab: str) -> int:
    """Check a lab's own ``submission.py`` as ``python -m grading --lab`` does, and print the table: the exit status."""
    from grading import table
    from labs import catalog

    checked = catalog.load(lab)
    told = table.whole(checked.result(checked.source.read_bytes()))
    print(told.replace("submission.py", str(checked.source)))  # each lab has a file of this name
    return 0
