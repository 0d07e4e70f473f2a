"""Measurements for question 7: three projections side by side, and the mixture against the diffusion model.

    python visualization.py --compare

``compare`` measures and writes ``comparison.csv`` into the run's folder; ``read`` returns it as two tables, which the
console, the report page and the report draft show. The measures are in ``report.measures``.

Symbols: N images, d embedding dimensions, K components.
"""

import csv
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np

from grading import scores
from hi_mnist import data, files, networks, projections, runs, text
from hi_mnist.data import DATASETS, N_CLASSES
from hi_mnist.files import ROOT
from hi_mnist.networks import AE_NETWORK, DDPM_NETWORK, DDPM_STEPS, DEFAULT_GUIDANCE
from hi_mnist.projections import PROJECTIONS
from hi_mnist.runs import SavedRun
from report import draw, measures
from report.measures import FRECHET_DIMENSIONS, GMM_SEEDS, NEIGHBOURS

FILE = "comparison.csv"
LARGEST_FILE = 1 << 20  # bytes; ours has about five thousand
MOST_METHODS, MOST_NOTES = 6, 20  # per table; ours have three and seven
SAMPLE = 2000  # images whose neighbours are ranked; the ranks take N^2 numbers
NEW_IMAGES = 10_000
DDIM_STEPS = 50
AE_TRAINING_MINUTES = 24  # see pretrained/mnist-ae/README.md

SECONDS = "seconds"  # a special format: from microseconds to hours
# measure -> label and number format; also the order of the rows
MEASURES = {
    "projections": {
        "fit_seconds": ("seconds to fit", SECONDS),
        "new_seconds": (f"seconds for {NEW_IMAGES:,} new images", SECONDS),
        "trustworthiness": ("trustworthiness (1 is best)", "{:.3f}"),
        "continuity": ("continuity (1 is best)", "{:.3f}"),
        "knn_accuracy": (f"accuracy of {NEIGHBOURS} nearest neighbours in the plane", "{:.3f}"),
        "gmm_accuracy": ("accuracy of a GMM (K = 10) on the plane", "{:.3f}"),
    },
    "generators": {
        "seconds": (f"seconds for one sample (DDPM: {DDIM_STEPS} DDIM steps)", SECONDS),
        "seconds_all_steps": (f"seconds for one sample, all {DDPM_STEPS:,} steps", SECONDS),
        "seconds_batch": ("seconds per sample, many drawn at once", SECONDS),
        "agreement": ("class agreement (share recognised as the digit asked for)", "{:.3f}"),
        "frechet": ("Frechet distance to test images (0 is best)", "{:.3g}"),
        "diversity": ("diversity within the class, features (1: as real)", "{:.2f}"),
        "diversity_pixels": ("diversity within the class, pixels (1: as real)", "{:.2f}"),
    },
}
TITLES = {"projections": "Three ways to the plane", "generators": "Two ways to draw digits"}
COLUMNS = ("table", "measure", "method", "value")
Record = tuple[str, str, str, float | str]  # table, measure (or "note"), method, value


# --------------------------------------------------------------------------- the file


def write(path: Path, records: list[Record]) -> Path:
    """Write ``comparison.csv`` into the run's folder ``path``: one line per table, measure and method."""
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((*names, value if isinstance(value, str) else f"{value:.6g}") for *names, value in records)
    files.write_text(path / FILE, table.getvalue())
    return path / FILE


def read(path: Path | str) -> dict[str, dict] | None:
    """The tables of the ``comparison.csv`` in a run's folder, as text to show (not escaped).

    Returns:
        ``{"projections": table, "generators": table}`` with ``table = {"title": str, "methods": [str], "rows":
        [{"label": str, "cells": [str]}], "notes": [str]}``, one cell per method. Anybody may have edited the
        file, so every text is on one line of limited length. None if the file is missing or damaged.
    """
    file = Path(path) / FILE
    try:
        if file.stat().st_size > LARGEST_FILE:
            return None
        lines = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))
        values = [[text.one_line(line[name], 500) for name in COLUMNS] for line in lines]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None
    tables = {}
    for name, known in MEASURES.items():
        cells = {(measure, method): value for table, measure, method, value in values if table == name}
        methods = list(dict.fromkeys(method for measure, method in cells if measure in known))[:MOST_METHODS]
        tables[name] = {
            "title": TITLES[name],
            "methods": methods,
            "rows": [
                {"label": label, "cells": [_shown(cells.get((measure, method), "-"), form) for method in methods]}
                for measure, (label, form) in known.items()
            ],
            "notes": [v for table, measure, _, v in values if (table, measure) == (name, "note")][:MOST_NOTES],
        }
        if not methods:
            return None
    return tables


def _shown(value: str, form: str) -> str:
    try:
        number = float(value)
    except ValueError:
        return value
    return in_seconds(number) if form == SECONDS else form.format(number)


def in_seconds(value: float) -> str:
    """Seconds with two or three significant digits, without powers of ten."""
    if not 1e-9 < value < 1e9:
        return f"{value:g}"
    decimals = int(np.clip(1 - np.floor(np.log10(value)), 0, 9))
    return f"{value:,.{decimals}f}"


def console(tables: dict[str, dict]) -> str:
    """Both tables for the console."""
    blocks = []
    for table in tables.values():
        width = max(len(row["label"]) for row in table["rows"])
        rows = [("", table["methods"]), *((row["label"], row["cells"]) for row in table["rows"])]
        lines = [f"{label:<{width}}" + "".join(f" {cell:>16}" for cell in cells) for label, cells in rows]
        blocks.append("\n".join([table["title"], *lines, *(f"* {note}" for note in table["notes"])]))
    return "\n\n".join(blocks)


# --------------------------------------------------------------------------- measuring


def compare(run: SavedRun, ae_source: str | None = None) -> Path:
    """Measure both tables of a run, whose data set is prepared, and write ``comparison.csv``.

    ``ae_source`` names another AutoEncoder than the run's own or the shipped one.
    """
    # Load both networks first: if that fails, the error comes before the slow work.
    name = networks.network_source(AE_NETWORK, ae_source or run.config.ae)
    ae, ddpm = networks.load_ae(name), networks.load_ddpm()
    dataset = run.config.dataset
    train, test = (data.load_split(split, dataset) for split in ("train", "test"))
    planes = measure_projections(train, test[0], dataset, name)
    return write(run.path, [*planes, *measure_generators(run, train, test, ae, ddpm)])


def measure_projections(
    train: tuple[np.ndarray, np.ndarray], test: np.ndarray, dataset: str, ae_source: str
) -> Iterator[Record]:
    """PCA, t-SNE and the AutoEncoder, a Hub id or a folder, on the training images, as in visualization.py.

    Images are uint8 (N, 1, 28, 28), labels int64 (N,); the test images are the new ones.
    """
    from sklearn.decomposition import PCA

    images, labels = train
    new = np.resize(test, (NEW_IMAGES, *test.shape[1:]))  # repeated if there are fewer
    planes, fit, fresh = {}, {}, {}
    rows, new_rows = (data.flatten(each).astype(np.float32) for each in (images, new))
    pca, fit["PCA"] = timed(lambda: PCA(2, svd_solver="covariance_eigh").fit(rows))
    planes["PCA"] = pca.transform(rows).astype(np.float64)
    fresh["PCA"] = timed(lambda: pca.transform(new_rows), repeats=3)[1]
    ae = networks.load_ae(ae_source)
    planes["AutoEncoder"] = projections.project_ae(images, ae_source)
    fresh["AutoEncoder"] = timed(lambda: networks.ae_encode(ae, new))[1]
    fit["AutoEncoder"], ae_note = _training_of_ae(ae_source, dataset)
    planes["t-SNE"] = projections.project_tsne(images)
    fit["t-SNE"], fresh["t-SNE"] = projections.tsne_seconds(images), "cannot"
    some = np.sort(np.random.default_rng(0).permutation(len(images))[:SAMPLE])
    scored = measures.score_planes(rows, labels, planes, some)
    for method in PROJECTIONS.values():
        yield "projections", "fit_seconds", method, fit[method]
        yield "projections", "new_seconds", method, fresh[method]
        for name, value in scored[method].items():
            yield "projections", name, method, value
    for note in (
        f"Planes of all {len(images):,} training images of {DATASETS[dataset]}; seconds of this machine with "
        f"{os.cpu_count()} cores, other programs included. New images: the test images"
        + (f", repeated to {NEW_IMAGES:,}." if len(test) < NEW_IMAGES else "."),
        ae_note,
        f"Trustworthiness: are neighbours in the plane neighbours in the 784 pixels? Continuity: the other way round. "
        f"{NEIGHBOURS} neighbours, {len(some):,} training images (seed 0); unrelated positions would give 0.5.",
        "Nearest neighbours: each training image gets the majority label of the others around it. GMM: clusters "
        f"matched one to one to labels, median of {len(GMM_SEEDS)} seeds.",
    ):
        yield "projections", "note", "", note


def timed(job: Callable[[], object], repeats: int = 1) -> tuple[object, float]:
    """What ``job`` returns, and the median of its wall-clock seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = job()
        seconds.append(time.perf_counter() - start)
    return result, median(seconds)


def _is_shipped(network, source: str) -> bool:
    return Path(source).resolve() == ROOT / "pretrained" / network.shipped


def _training_of_ae(source: str, dataset: str) -> tuple[float | str, str]:
    """Seconds that training the AutoEncoder took, and a note about them."""
    if not _is_shipped(AE_NETWORK, source):
        return "not known", "The AutoEncoder was trained elsewhere; how long that took is not known."
    note = "The AutoEncoder was trained on MNIST's images without labels; its model card has the time (two cores)."
    return 60.0 * AE_TRAINING_MINUTES, note + ("" if dataset == "mnist" else " The images of this run are new to it.")


# --------------------------------------------------------------------------- generators


def measure_generators(run: SavedRun, train, test, ae, ddpm) -> Iterator[Record]:
    """The run's mixture, the diffusion model and real images, compared.

    ``train`` and ``test`` are images uint8 (N, 1, 28, 28) and labels int64 (N,) each; the networks are loaded.
    """
    # More samples if there are more images to compare with; each set takes seconds on two cores.
    per_class = 10 if len(train[0]) > 10_000 else 5
    asked = np.repeat(np.arange(N_CLASSES), per_class)
    shipped = _is_shipped(DDPM_NETWORK, networks.network_source(DDPM_NETWORK))
    known = not (shipped and run.config.dataset == "fashion_mnist")  # the model draws classes of this data set
    values: dict[str, dict[str, float]] = {}
    held = scores.count_labels(train[1], runs.cluster_labels(run, train[0]), run.n_components)
    components = held.argmax(axis=0)  # for each digit, the one with most of its images
    rng = np.random.default_rng(0)
    samples: dict[str, np.ndarray] = {}
    # The first draw of a process takes many times as long as those after it: neither median has it alone.
    one = timed(lambda: draw.draw_from_mixture(run, components[[6]], rng, ae), repeats=20)[1]
    samples["GMM"], seconds = timed(lambda: draw.draw_from_mixture(run, components[asked], rng, ae), repeats=5)
    values["GMM"] = {"seconds": one, "seconds_batch": seconds / len(asked)}
    one = timed(lambda: networks.draw_digits(ddpm, [6], steps=DDIM_STEPS, seed=0), repeats=3)[1]
    values["DDPM"] = {"seconds": one, "seconds_all_steps": timed(lambda: networks.draw_digits(ddpm, [6], seed=0))[1]}
    if known:
        samples["DDPM"], seconds = timed(lambda: networks.draw_digits(ddpm, asked, steps=DDIM_STEPS, seed=0))
        values["DDPM"]["seconds_batch"] = seconds / len(asked)
    judge = measures.Judge(ae, *train)
    real = np.concatenate([rng.permutation(np.flatnonzero(train[1] == c))[:per_class] for c in range(N_CLASSES)])
    samples["real images"] = train[0][real]
    accuracy = float((judge.predict(judge.features(test[0])) == test[1]).mean())
    for method, scored in measures.score_samples(samples, asked, test, judge).items():
        values.setdefault(method, {}).update(scored)
    values["real images"]["agreement"] = accuracy  # on all test images, which the judge was not trained on
    for method, found in values.items():
        for name, value in found.items():
            yield "generators", name, method, value
    way = f"PCA to {run.means.shape[1]} dimensions" if run.config.use_pca else "the AutoEncoder's plane, decoded"
    notes = [
        f"{per_class} samples of each digit. GMM: the parameters of this run ({way}); a digit is drawn from the "
        f"component with most of its training images. DDPM: {DDIM_STEPS} DDIM steps of {DDPM_STEPS:,}, guidance "
        f"{DEFAULT_GUIDANCE:g}.",
        f"Judge of the class: logistic regression on the {judge.n_features} features before the AutoEncoder's plane, "
        f"trained on {judge.n_images:,} training images with labels. It recognises {accuracy:.1%} of the "
        f"{len(test[0]):,} test images: the column of real images.",
        f"Frechet distance: {len(asked)} samples against the test images, in the first {FRECHET_DIMENSIONS} principal "
        "components of these features; it falls with the number of samples, so compare only within this table. Real "
        "images: as many training images.",
        "Diversity: mean distance of two samples of one digit, divided by that of real test images.",
    ]
    if run.config.dataset == "digits" and shipped:
        notes.append("The shipped DDPM learned from MNIST, whose handwriting differs from this run's and varies more.")
    if not known:
        notes.append("The shipped DDPM draws MNIST's digits, not this run's classes: only its time is measured.")
    for note in notes:
        yield "generators", "note", "", note
