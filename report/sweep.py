"""Train a grid of settings and compare the runs: the tuning log.

A sweep's folder holds one run folder per combination, ``sweep.csv`` and ``sweep.png``. A stopped sweep resumes when it
is started again with the same ``--results_path``: existing runs are not trained again.
"""

import contextlib
import csv
import dataclasses
import io
import itertools
import math
import os
import sys
import warnings
from pathlib import Path

import numpy as np
from tqdm import tqdm

from grading import checks, scores
from hi_mnist import data, files, runs, training
from hi_mnist.cli import LabError
from hi_mnist.runs import TrainConfig
from hi_mnist.text import one_line

KEYS = ("embedding_dim", "n_components", "max_iter", "seed")
MEASURES = {
    "score": "Performance points of 30",
    "accuracy": scores.FIGURES["accuracy"],
    "nmi": scores.FIGURES["nmi"],
    "log_likelihood": "mean log-likelihood, nats\n(compare only at equal embedding_dim)",
    "davies_bouldin": "Davies-Bouldin index (lower is better)",
    "seconds": "training time, s",
}
# Where a measure's axis ends, from 0: cut at the values, small differences would look large.
WHOLE = {"score": 32, "accuracy": 1, "nmi": 1, "davies_bouldin": None, "seconds": None}
MOST_RUNS = 500


def parse(items: list[str], base: TrainConfig) -> list[TrainConfig]:
    """The grid of ``--sweep embedding_dim=5,10 seed=0,1``: every combination, each checked, or a LabError."""
    grid: dict[str, list[int]] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or key not in KEYS:
            raise LabError(f"--sweep takes lists like embedding_dim=5,10,20 of {', '.join(KEYS)}, got {item!r}")
        if key in grid:
            raise LabError(f"--sweep names {key} twice; put all its values in one list, like {key}=1,2,3")
        if key == "embedding_dim" and not base.use_pca:
            raise LabError("--sweep embedding_dim=... needs --use_pca: the AutoEncoder's dimensions are fixed")
        try:
            grid[key] = list(dict.fromkeys(int(value) for value in text.split(",")))
        except ValueError:
            raise LabError(f"--sweep {key} must be integers separated by commas, got {text!r}") from None
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if len(combinations) > MOST_RUNS:
        raise LabError(f"--sweep asks for {len(combinations)} runs, more than {MOST_RUNS}; shorten the lists")
    return [dataclasses.replace(base, **combination).validate() for combination in combinations]


def sweep(configs: list[TrainConfig], folder: Path, keys: list[str]) -> list[dict]:
    """Train and score all runs of the grid that do not exist yet; ``keys``, the settings that differ, name them.

    It returns and writes one row per run, settings and ``MEASURES``. Raises LabError if the folder holds other runs.
    """
    from joblib import Parallel, delayed

    grid = {"_".join(f"{key}={getattr(config, key)}" for key in keys): config for config in configs}
    rows = earlier_rows(folder, grid)
    folder.mkdir(parents=True, exist_ok=True)
    missing = {name: config for name, config in grid.items() if name not in rows}
    with Parallel(n_jobs=max(1, min(os.cpu_count() or 1, len(missing))), return_as="generator_unordered") as parallel:
        dims = sorted({config.embedding_dim for config in missing.values() if config.use_pca})
        baselines = parallel(delayed(make_baseline)(configs[0].dataset, dim) for dim in dims)
        for _ in tqdm(baselines, total=len(dims), desc="scikit-learn's baselines", unit="baseline", disable=not dims):
            pass
        done = parallel(delayed(train_one)(config, folder / name) for name, config in missing.items())
        heard = set()
        for row, said in tqdm(done, total=len(missing), desc="training", unit="run", disable=not missing):
            for line in sorted({*said} - heard):
                tqdm.write(f"warning: {line}", file=sys.stderr)
            heard.update(said)
            rows[row["run"]] = row  # written each time, so that stopping loses nothing
            write_csv(folder / "sweep.csv", [rows[name] for name in grid if name in rows])
    return [rows[name] for name in grid]


def earlier_rows(folder: Path, grid: dict[str, TrainConfig]) -> dict[str, dict]:
    """Rows of the runs that an earlier call finished, by name. Raises LabError if the folder holds anything else."""
    if not folder.is_dir():
        return {}
    for name, config in grid.items():
        if (folder / name).is_dir():
            there = runs.load_run(folder / name).config
            if dataclasses.replace(there, results_path=None) != dataclasses.replace(config, results_path=None):
                raise LabError(f"{folder / name} is a run with other settings; name another --results_path")
    file = folder / "sweep.csv"
    try:
        rows = {row["run"]: row for row in read_csv(file)} if file.is_file() else {}
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"{file} is damaged ({one_line(error)}); delete it: the runs are scored again") from None
    rows = {name: row for name, row in rows.items() if name in grid and (folder / name).is_dir()}
    strangers = [p.name for p in folder.glob("[!.]*") if p.name not in {*grid, "sweep.csv", "sweep.png"}]
    if strangers and not rows:
        raise LabError(f"{folder} holds other things ({strangers[0]}); name a new --results_path for the sweep")
    return rows


def make_baseline(dataset: str, embedding_dim: int) -> None:
    """Compute scikit-learn's index into the cache, once per dimension."""
    images = data.load_data_set(dataset)
    scores.baseline_davies_bouldin(dataset, embedding_dim, images.train, images.test)


def train_one(config: TrainConfig, path: Path) -> tuple[dict, list[str]]:
    """Train and save one run unless it exists, and score it: its row, and what the training said of slips."""
    seconds, said = math.nan, []  # unknown if the run exists but its row was lost
    images = data.load_data_set(config.dataset)
    if not path.is_dir():
        training.set_seed(config.seed)
        # The bars of several processes would be drawn over each other, and over the sweep's own.
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stderr(io.StringIO()):
            result = training.train(config, images.train, said.append, checks.ask_here)
        training.save_run(path, config, result)
        seconds = result.embed_seconds + result.fit_seconds
    scored = scores.score_run(runs.load_run(path), images)
    (performance,) = (q for q in scored["questions"] if q["id"] == "performance")
    row = {"run": path.name, "seconds": seconds} | {key: getattr(config, key) for key in KEYS}
    row |= {key: scored[key] for key in ("accuracy", "nmi", "log_likelihood")}
    row |= {"score": performance["score"] if config.use_pca else math.nan}
    return row | {"davies_bouldin": math.nan if scored["db"] is None else scored["db"]}, said


def write_csv(path: Path, rows: list[dict]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["run", *KEYS, *MEASURES], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        numbers = {key: "" if math.isnan(row[key]) else f"{row[key]:.6g}" for key in MEASURES}
        writer.writerow(row | numbers)
    files.write_text(path, text.getvalue())


def read_csv(path: Path) -> list[dict]:
    """The rows of a ``sweep.csv``: settings as int, measures as float, NaN for empty cells.

    Raises OSError, ValueError, KeyError or TypeError if the file is missing or has another form.
    """
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    except csv.Error as error:
        raise ValueError(f"{path}: {error}") from None
    kinds = dict.fromkeys(KEYS, int) | dict.fromkeys(MEASURES, float)
    return [{"run": line["run"]} | {key: kind(line[key] or "nan") for key, kind in kinds.items()} for line in lines]


def table(rows: list[dict], keys: list[str]) -> str:
    """The comparison for the console, with the best row marked."""
    best = best_row(rows)
    lines = ["  ".join(f"{column:>14}" for column in (*keys, *MEASURES))]
    for row in rows:
        cells = [f"{row[key]:>14}" for key in keys]
        cells += [f"{'-' if math.isnan(row[key]) else format(row[key], '.3f'):>14}" for key in MEASURES]
        lines.append("  ".join(cells) + ("   <- best" if row is best else ""))
    return "\n".join(lines)


def best_row(rows: list[dict]) -> dict:
    """The row with the most points; if these are equal or missing, the one with the highest accuracy."""
    return max(rows, key=lambda row: (np.nan_to_num(row["score"]), row["accuracy"]))


def plot(rows: list[dict], keys: list[str], title: str, path: Path) -> None:
    """``sweep.png``: each measure over the first setting, one line per combination of the others except the seed.

    Likelihoods of different embeddings cannot be compared: no line joins them.
    """
    from matplotlib.figure import Figure

    x_key = next((key for key in keys if key != "seed"), keys[0])
    series_keys = [key for key in keys if key not in (x_key, "seed")]
    series = {}
    for row in rows:
        series.setdefault(tuple(row[key] for key in series_keys), []).append(row)
    figure, best, xs = Figure(figsize=(12, 7), layout="constrained"), best_row(rows), sorted({r[x_key] for r in rows})
    for axis, (measure, label) in zip(figure.subplots(2, 3).flat, MEASURES.items(), strict=True):
        joined = "" if (measure, x_key) == ("log_likelihood", "embedding_dim") else "-"
        for values, members in series.items():
            at = sorted({row[x_key] for row in members})
            medians = [np.median([row[measure] for row in members if row[x_key] == x]) for x in at]
            name = ", ".join(f"{key} {value}" for key, value in zip(series_keys, values, strict=True))
            (line,) = axis.plot(at, medians, linestyle=joined, marker="o", label=name)
            points = [row[x_key] for row in members], [row[measure] for row in members]
            axis.plot(*points, ".", color=line.get_color(), alpha=0.5)
        (ring,) = axis.plot(best[x_key], best[measure], "o", ms=15, mfc="none", mec="#d62728", mew=2)
        axis.set(xlabel=x_key, title=label, xticks=xs, xmargin=0.1, ymargin=0.1)
        axis.grid(alpha=0.3)
        if measure in WHOLE:
            axis.set_ylim(0, WHOLE[measure] or 1.1 * axis.get_ylim()[1])
        if all(math.isnan(row[measure]) for row in rows):
            why = "PCA runs only" if measure == "score" else "not measured"
            axis.text(0.5, 0.5, why, ha="center", transform=axis.transAxes)
    ring.set_label("the best run: " + ", ".join(f"{key} {best[key]}" for key in keys))
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    seeds = len({row["seed"] for row in rows})
    figure.suptitle(title + (f"\nlarge dots: median of {seeds} seeds, small dots: each seed" if seeds > 1 else ""))
    with files.atomic_path(path) as partial:
        figure.savefig(partial, dpi=110, format="png")


def run(configs: list[TrainConfig], items: list[str], folder: Path) -> str:
    """Train the grid, write ``sweep.csv`` and ``sweep.png``, and return the text for the console."""
    keys = [item.partition("=")[0] for item in items]
    rows = sweep(configs, folder, keys)
    title = f"{len(rows)} runs on {configs[0].dataset} ({'PCA' if configs[0].use_pca else 'AutoEncoder'})"
    plot(rows, keys, title, folder / "sweep.png")
    return table(rows, keys)
