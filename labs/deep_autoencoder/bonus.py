"""The bonus on ColoredMNIST: how far the grey autoencoder's codes still work, and who finds the odd colours.

Training images are biased, nine in ten in their class's colour; test images wear all ten colours alike, so that what
holds on to colour fails on them. Symbols: N images, D = 784 pixels, d numbers of a code.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hi_mnist import scatter
from hi_mnist.data import N_CLASSES, DataSet
from hi_mnist.scatter import PALETTE
from labs import shared
from labs.deep_autoencoder import analysis, colored

PROBED = 10_000  # training images to which the probes are fitted
UNBIASED = 1 / N_CLASSES
DETECTORS = {  # name: what it is, and the colour of its bars
    "grey pixels": ("nearest neighbours, grey pixels (assignment)", "#b0b0b0"),
    "codes": ("nearest neighbours, codes of the autoencoder", "#4c78a8"),
    "ink": ("distance to the median ink of the class (ours)", "#e45756"),
}
Encoder = Callable[[np.ndarray], np.ndarray]  # grey pixels float32 (N, D) in [0, 1] -> codes float32 (N, d)


def run(folder: Path, images: DataSet, encode: Encoder, severity: int, seed: int, title: str) -> dict:
    """Colour the grey data set by ``colored.colorize``, probe, detect, and write the pictures into the run's folder.

    Returns:
        ``severity``, ``probes`` (see ``probe_all``) and by name the ``detectors``, in plain numbers for JSON, which
        knows no NaN: the recall of an absent class is None.
    """
    train = colored.colorize(images.train, images.train_labels, severity, seed)
    test = colored.colorize(images.test, images.test_labels, severity, seed + 1, aligned=UNBIASED)
    plot_samples(train, folder / "colored-mnist.png", title)
    grey, test_grey = colored.grey(train.images), colored.grey(test.images)
    codes, test_codes = encode(grey), encode(test_grey)
    probes = probe_all(train, test, {"grey pixels": (grey, test_grey), "codes": (codes, test_codes)}, seed)
    plot_tsne(test, test_codes, folder / "t-sne-colored-mnist-test.png", title)
    scores = {  # each detector sees training images and digit labels, never colours
        "grey pixels": colored.neighbour_distance(grey, train.labels),
        "codes": colored.neighbour_distance(codes, train.labels),
        "ink": colored.colour_distance(train.images, train.labels),
    }
    detectors = {name: colored.evaluate(values, train) for name, values in scores.items()}
    plot_recall(detectors, folder / "detectors.png", title)
    facts = {}
    for name, d in detectors.items():
        recalls = [None if np.isnan(recall) else recall for recall in d.by_class.tolist()]
        facts[name] = {"recall": d.overall, "recall_by_class": recalls, "auc": d.auc}
    return {"severity": severity, "probes": probes, "detectors": facts}


def probe_all(train, test, representations: dict[str, tuple[np.ndarray, np.ndarray]], seed: int) -> list[dict]:
    """Probes of colour pixels and of the representations (training, test), fitted to ``PROBED`` training images.

    Returns:
        the accuracies on the test images of each: ``name``, ``all``, and by kind ``aligned`` and ``conflicting``.
    """
    chosen = np.random.default_rng(seed).permutation(len(train.images))[:PROBED]
    colour_pixels = (x.reshape(len(x), -1).astype(np.float32) / 255 for x in (train.images[chosen], test.images))
    pairs = {"colour pixels": tuple(colour_pixels)} | {name: (a[chosen], b) for name, (a, b) in representations.items()}
    rows = []
    for name, (fitted, scored) in shared.progress(pairs.items(), desc="probes", unit="probe"):
        right = analysis.Probe().fit(fitted, train.labels[chosen]).predict(scored) == test.labels
        kinds = {"all": right, "aligned": right[~test.conflicting], "conflicting": right[test.conflicting]}
        rows.append({"name": name} | {k: float(x.mean()) if len(x) else float("nan") for k, x in kinds.items()})
    return rows


def table(result: dict) -> str:
    """Probes and detectors, from ``run``, as a person reads them on a console."""

    def line(name, a, b, c):
        return f"{name:<47}{a:>12}{b:>12}{c:>14}"

    lines = [line("probe, fitted on biased training images", "test images", "own colour", "other colour")]
    for row in result["probes"]:
        lines.append(line(row["name"], *(f"{row[kind]:.4f}" for kind in ("all", "aligned", "conflicting"))))
    lines += ["", line("detector, 10 % flagged: recall", "all classes", "worst class", "ROC area")]
    by_class = {name: np.array(d["recall_by_class"], float) for name, d in result["detectors"].items()}
    for name, d in result["detectors"].items():
        numbers = (d["recall"], np.nanmin(by_class[name]), d["auc"])
        lines.append(line(DETECTORS[name][0], *(f"{number:.4f}" for number in numbers)))
    lines.append("recall by class (10 % flagged in each class by itself):")
    for name, recalls in by_class.items():
        lines.append(f"  {name:<14}" + " ".join(f"{value:6.3f}" for value in recalls))
    return "\n".join(lines)


def plot_samples(data: colored.Colored, path: Path, title: str, own: int = 6, other: int = 4) -> None:
    """A row for each class: images in its own colour, and after a gap images in other colours."""
    rows = []
    for label in range(N_CLASSES):
        members = data.labels == label
        row = [None] * (own + 1 + other)
        for start, stop, kind in ((0, own, ~data.conflicting), (own + 1, len(row), data.conflicting)):
            found = np.flatnonzero(members & kind)[: stop - start]
            row[start : start + len(found)] = data.images[found].transpose(0, 2, 3, 1)
        rows.append(row)
    title = f"{title}: training images\nleft: own colour of the class (90 %), right: other colours (10 %)"
    shared.save_figure(shared.picture_grid(rows, title=title), path)


def plot_tsne(data: colored.Colored, codes: np.ndarray, path: Path, title: str) -> None:
    """t-SNE of 2,000 codes, on the left coloured by digit, on the right in the images' own ink."""
    plane, chosen = analysis.tsne_plane(codes)
    figure = Figure(figsize=(12.4, 6.2), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    inks = colored.ink_colour(data.images[chosen])
    for ax, colours in ((left, np.array(PALETTE)[data.labels[chosen]]), (right, inks)):
        ax.scatter(*plane.T, s=9, c=colours, linewidths=0)
        ax.set(xticks=[], yticks=[])
        ax.set_aspect("equal", adjustable="datalim")
    left.set(title="colour: the digit")
    right.set(title="colour: the ink, which the encoder sees as a grey level only")
    right.set_facecolor("black")
    spots = scatter.densest_points(plane, data.labels[chosen], N_CLASSES)
    for digit, spot in scatter.spread_labels(spots, plane).items():
        box = {"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": PALETTE[digit], "linewidth": 2}
        left.text(*spot, str(digit), ha="center", va="center", fontweight="bold", bbox=box)
    figure.suptitle(f"t-SNE of the autoencoder's codes: {len(plane):,} test images of {title}, all colours alike")
    shared.save_figure(figure, path)


def plot_recall(detectors: dict[str, colored.Detected], path: Path, title: str) -> None:
    """Recall by class and over all classes, a bar for each detector."""
    figure = Figure(figsize=(10, 4.6), dpi=110, layout="constrained")
    ax = figure.subplots()
    places, width = np.arange(N_CLASSES + 1), 0.8 / len(detectors)
    for i, (name, d) in enumerate(detectors.items()):
        label, colour = DETECTORS[name]
        ax.bar(places + (i - 1) * width, [*d.by_class, d.overall], width * 0.92, label=label, color=colour)
    ax.axhline(0.1, color="black", lw=0.8, ls=":", label="flagging at random")
    ax.axhline(0.95, color="black", lw=0.8, ls="--", label="0.95")
    ax.set_xticks(places, [*(f"{k}\n{colored.COLOUR_NAMES[k]}" for k in range(N_CLASSES)), "all\nclasses"])
    share = "share of the odd-coloured training images that each detector finds\n(no colour labels used)"
    ax.set(ylim=(0, 1.05), ylabel="recall when 10 % are flagged", title=f"{title}: {share}")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False)
    shared.save_figure(figure, path)
