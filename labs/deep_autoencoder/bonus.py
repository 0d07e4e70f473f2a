"""The bonus on ColoredMNIST: what the codes of a grey and of a colour autoencoder hold, and who finds the odd colours.

Training images are biased, nine in ten in their class's colour; test images wear all ten colours alike, so that what
holds on to colour fails on them. Symbols: N images, D = 784 pixels, d numbers of a code.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA

from hi_mnist import scatter, training
from hi_mnist.cli import LabError
from hi_mnist.data import N_CLASSES, N_PIXELS, DataSet
from labs import shared
from labs.deep_autoencoder import analysis, colored, submission
from labs.deep_autoencoder.training import modernise

PROBED = 10_000  # training images to which the probes are fitted
UNBIASED = 1 / N_CLASSES
LADDER = 10_000  # training images that each step of the ladder colours anew
SHARES = (0.005, 0.01, 0.02, 0.05, 0.1)  # of odd colours
COLOUR_LAYERS = (3 * N_PIXELS, 512, 128, 30)  # of the colour autoencoder
DETECTORS = {  # name: what it is, and the colour of its bars
    "grey pixels": ("neighbours, grey pixels (assignment)", "#b0b0b0"),
    "codes": ("neighbours, codes of the grey autoencoder", "#4c78a8"),
    "colour pixels": ("neighbours, colour pixels", "#e2b04a"),
    "colour PCA": ("neighbours, PCA of the colours to 30", "#72b7b2"),
    "colour codes": ("neighbours, codes of the colour autoencoder", "#54a24b"),
    # BEGIN_SOLUTION_ONLY
    "one number": ("one robust number: the share of red", "#b279a2"),
    # END_SOLUTION_ONLY
    "score": ("score() of submission.py", "#e45756"),
}
Encoder = Callable[[np.ndarray], np.ndarray]  # pixels float32 (N, D) or (N, 3 D) in [0, 1] -> codes float32 (N, d)


def run(folder: Path, images: DataSet, encode: Encoder, settings, title: str, device="cpu") -> dict:
    """Colour the grey data set by ``colored.colorize``, probe, detect, and write the pictures into the run's folder.

    ``encode`` is the grey autoencoder's, ``settings`` are the run's ``Options``. What comes back are plain numbers.
    """
    severity, seed = settings.severity, settings.seed
    train = colored.colorize(images.train, images.train_labels, severity, seed)
    test = colored.colorize(images.test, images.test_labels, severity, seed + 1, aligned=UNBIASED)
    plot_samples(train, folder / "colored-mnist.png", title)
    encode_colours = colour_encoder(train, settings.max_epoch, seed, device)
    ways = {"colour pixels": flat, "grey pixels": colored.grey, "codes": lambda x: encode(colored.grey(x))}
    ways["colour codes"] = lambda x: encode_colours(flat(x))
    chosen = np.random.default_rng(seed).permutation(len(train.images))[:PROBED]
    suspicious = scored(train)
    probes = [
        probed(name, way(train.images[chosen]), train.labels[chosen], way(test.images), test)
        for name, way in shared.progress(ways.items(), desc="probes", unit="probe")
    ]
    weighted = weigh_up(train, test, suspicious, chosen)
    plot_tsne(test, ways["codes"](test.images), folder / "t-sne-colored-mnist-test.png", title)
    ways["colour PCA"] = lambda x: PCA(min(30, len(x)), random_state=0).fit_transform(flat(x))

    def detect(data):
        """Each detector sees images and digit labels, never colours."""
        neighbours = [name for name in DETECTORS if name in ways]
        found = {name: colored.neighbour_distance(ways[name](data.images), data.labels) for name in neighbours}
        # BEGIN_SOLUTION_ONLY
        red = data.images[:, 0].sum(axis=(1, 2)) / data.images.sum(axis=(1, 2, 3))
        usual = {label: np.median(red[data.labels == label]) for label in np.unique(data.labels)}
        found["one number"] = np.abs(red - np.array([usual[label] for label in data.labels]))
        # END_SOLUTION_ONLY
        return found | {"score": suspicious if data is train else scored(data)}

    detectors = {name: colored.evaluate(values, train) for name, values in detect(train).items()}
    plot_recall(detectors, folder / "detectors.png", title)
    ladder = climb(images, detect, severity, seed)
    plot_ladder(ladder, severity, folder / "ladder.png", title)
    return {"severity": severity, "probes": probes, "weighted": weighted, "detectors": detectors, "ladder": ladder}


def flat(images: np.ndarray) -> np.ndarray:
    """Colour images uint8 (N, 3, 28, 28) as float32 (N, 3 D) in [0, 1]."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def scored(data: colored.Colored) -> np.ndarray:
    """What ``submission.score`` says of coloured images, float64 (N,). Raises LabError where it is no such array."""
    scores = np.asarray(submission.score(data.images.transpose(0, 2, 3, 1), data.labels), np.float64)
    if scores.shape != data.labels.shape or not np.isfinite(scores).all():
        told = f"gives shape {scores.shape}; wanted: {len(data.labels)} finite numbers"
        raise LabError(f"score() of {submission.__file__} {told}")
    return scores


def colour_encoder(train: colored.Colored, epochs: int, seed: int, device) -> Encoder:
    """The encoder of an autoencoder of colour pixels, trained here, without a label."""
    training.set_seed(seed)
    model = submission.Autoencoder(COLOUR_LAYERS, linear_code=True).to(device)
    modernise(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    pixels = torch.from_numpy(train.images).flatten(1)
    for _ in shared.progress(range(epochs), desc="colour autoencoder", unit="epoch"):
        for rows in torch.randperm(len(pixels)).split(256):
            submission.train_step(model, pixels[rows].to(device) / 255, torch.nn.MSELoss(), optimizer)
    return functools.partial(shared.in_batches, model.encoder, device=device)


def probed(name: str, x, labels, seen, test: colored.Colored, weights=None) -> dict:
    """The probe fitted to x, float (n, d): its name, and its accuracies on the test images, seen as float (N, d)."""
    right = analysis.Probe().fit(x, labels, weights).predict(seen) == test.labels
    kinds = {"all": right, "aligned": right[~test.conflicting], "conflicting": right[test.conflicting]}
    return {"name": name} | {kind: float(x.mean()) if len(x) else float("nan") for kind, x in kinds.items()}


def weigh_up(train, test, suspicious: np.ndarray, chosen: np.ndarray) -> list[dict]:
    """Are the flagged tenth outliers, or the key samples? ``probed`` without, and with them weighted up.

    The training images are those ``chosen``; weighted up, the flagged ones have as much weight as all others.
    """
    flagged, x, seen = colored.flag(suspicious)[chosen], flat(train.images[chosen]), flat(test.images)
    up = np.where(flagged, (~flagged).sum() / max(1, flagged.sum()), 1.0)
    ways = (("all alike", up > 0, None), ("flagged left out", ~flagged, None), ("flagged weighted up", up > 0, up))
    return [
        probed(name, x[kept], train.labels[chosen][kept], seen, test, weights)
        for name, kept, weights in shared.progress(ways, desc="probes with weights", unit="probe")
    ]


def climb(images: DataSet, detect: Callable, severity: int, seed: int) -> list[dict]:
    """Every detector on colourings of every severity, and of every share of odd colours, which nobody tells it."""
    steps = [(s, colored.SHARE) for s in range(1, len(colored.SEVERITIES) + 1)]
    steps += [(severity, share) for share in SHARES if share != colored.SHARE]
    rows = []
    for step, (level, share) in enumerate(shared.progress(steps, desc="ladder", unit="colouring")):
        data = colored.colorize(images.train[:LADDER], images.train_labels[:LADDER], level, seed + 2 + step, 1 - share)
        if data.conflicting.any():  # a small data set has no odd ones at a small share
            found = {name: colored.detected(values, data.conflicting) for name, values in detect(data).items()}
            numbers = {name: {"recall": recall, "auc": auc} for name, (recall, auc) in found.items()}
            rows.append({"severity": level, "share": share, "detectors": numbers})
    return rows


def table(result: dict) -> str:
    """Probes and detectors, from ``run``, as a person reads them on a console."""

    def part(head, columns, rows):
        return shared.text_table((head, *columns), [(name, *(f"{n:.4f}" for n in numbers)) for name, numbers in rows])

    kinds = {"all": "test images", "aligned": "own colour", "conflicting": "other colour"}
    probes, weighted = ([(row["name"], [row[k] for k in kinds]) for row in result[of]] for of in ("probes", "weighted"))
    found, ladder, steps = [], [], result["ladder"]
    for name, d in result["detectors"].items():
        found.append((DETECTORS[name][0], (d["recall"], np.nanmin(np.array(d["recall_by_class"], float)), d["auc"])))
        ladder.append((DETECTORS[name][0], [step["detectors"][name]["recall"] for step in steps]))
    parts = (
        part("probe, fitted on biased training images", kinds.values(), probes),
        part("probe of colour pixels", kinds.values(), weighted),
        part("detector, as many flagged as are odd: recall", ("all classes", "worst class", "ROC area"), found),
        part("recall by severity and share", [f"{step['severity']}, {step['share']:.1%}" for step in steps], ladder),
    )
    return "\n\n".join(parts)


def plot_samples(data: colored.Colored, path: Path, title: str) -> None:
    """A row for each class: images in its own colour, and after a gap images in other colours."""

    def first(members, count):
        found = data.images[np.flatnonzero(members)[:count]].transpose(0, 2, 3, 1)
        return [*found, *[None] * (count - len(found))]

    classes = [data.labels == label for label in range(N_CLASSES)]
    rows = [[*first(own & ~data.conflicting, 6), None, *first(own & data.conflicting, 4)] for own in classes]
    title = f"{title}: training images\nleft: own colour of the class (90 %), right: other colours (10 %)"
    shared.save_figure(shared.picture_grid(rows, title=title), path)


def plot_tsne(data: colored.Colored, codes: np.ndarray, path: Path, title: str) -> None:
    """t-SNE of 2,000 codes, on the left coloured by digit, on the right in the images' own ink."""
    plane, chosen = analysis.tsne_plane(codes)
    figure, (left, right) = shared.panels(2, 12.4, 6.2)
    scatter.draw_plane(left, plane, data.labels[chosen], scatter.PALETTE, font=10, gap=0.05)
    right.scatter(*plane.T, s=9, c=data.images[chosen].max(axis=(2, 3)) / 255, linewidths=0)
    right.set(xticks=[], yticks=[], title="colour: the ink, which the encoder sees as a grey level only")
    right.set_aspect("equal", adjustable="datalim")
    right.set_facecolor("black")
    left.set_title("colour: the digit")
    figure.suptitle(f"t-SNE of the autoencoder's codes: {len(plane):,} test images of {title}, all colours alike")
    shared.save_figure(figure, path)


def plot_recall(detectors: dict[str, dict], path: Path, title: str) -> None:
    """Recall by class and over all classes, a bar for each detector."""
    figure, (ax,) = shared.panels(1, 12, 4.8)
    places, width = np.arange(N_CLASSES + 1), 0.84 / len(detectors)
    for i, (name, d) in enumerate(detectors.items()):
        label, colour = DETECTORS[name]
        left = places + (i - (len(detectors) - 1) / 2) * width
        ax.bar(left, np.array([*d["recall_by_class"], d["recall"]], float), width * 0.92, label=label, color=colour)
    ax.axhline(0.1, color="black", lw=0.8, ls=":", label="flagging at random")
    ax.set_xticks(places, [*(f"{k}\n{colored.COLOUR_NAMES[k]}" for k in range(N_CLASSES)), "all\nclasses"])
    share = "share of the odd-coloured training images that each detector finds\n(no colour labels used)"
    ax.set(ylim=(0, 1.05), ylabel="recall when 10 % are flagged", title=f"{title}: {share}")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    shared.save_figure(figure, path)


def plot_ladder(ladder: list[dict], severity: int, path: Path, title: str) -> None:
    """Recall by severity on the left, by the share of odd colours on the right, a line for each detector."""
    figure, (left, right) = shared.panels(2, 11, 4.8, sharey=True)
    by_severity = [row for row in ladder if row["share"] == colored.SHARE]
    by_share = sorted((row for row in ladder if row["severity"] == severity), key=lambda row: row["share"])
    for ax, rows, x in ((left, by_severity, "severity"), (right, by_share, "share")):
        for name in rows[0]["detectors"] if rows else ():
            label, colour = DETECTORS[name]
            recalls = [row["detectors"][name]["recall"] for row in rows]
            ax.plot([row[x] for row in rows], recalls, "o-", ms=4, color=colour, label=label if ax is left else None)
        ax.grid(alpha=0.3)
    left.set(title="10 % odd", ylim=(-0.03, 1.05), xticks=range(1, len(colored.SEVERITIES) + 1))
    left.set(xlabel="severity: the higher, the purer the colours", ylabel="recall, as many flagged as are odd")
    right.set(xlabel="share of odd colours", title=f"severity {severity}", xscale="log")
    right.set_xticks(SHARES, [f"{100 * share:g} %" for share in SHARES])
    right.minorticks_off()
    figure.suptitle(f"{title.partition(',')[0]}: up to {LADDER:,} training images, coloured anew at each point")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    shared.save_figure(figure, path)
