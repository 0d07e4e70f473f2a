"""The assignment's analysis of a trained run: errors, probes, t-SNE, the table, the CSV file and the pictures.

    rows = analysis.compare(representations, train_labels, test_labels)

Symbols: N images, D = 784 pixels, d numbers of a code. Pixels lie in [0, 1]; errors are squared errors per image,
summed over its pixels, as in the paper.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hi_mnist import files, scatter
from hi_mnist.data import N_CLASSES
from labs import shared

PCA_DIMENSIONS = 30  # as many as the assignment's code has
PROBE_ITERATIONS = 300  # of L-BFGS; on raw pixels it would go on for thousands that change the third digit
N_TSNE = 2000
TSNE_SEED = 929  # the assignment's
TITLES = {
    "raw": "raw pixels",
    "pca": f"PCA to {PCA_DIMENSIONS}",
    "stack": "RBM stack, not fine-tuned",
    "pretrained": "autoencoder with pretraining",
    "scratch": "autoencoder without pretraining",
}


@dataclass
class Representation:
    """One way to encode the images.

    Attributes:
        name: a key of TITLES.
        train, test: codes, float32 (N, d).
        rebuilt: reconstructed test images, float32 (N, D); None for raw pixels, which lose nothing.
        seconds, cpu_seconds: of training: wall time, and processor time of all threads.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    rebuilt: np.ndarray | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass
class Row:
    """A line of the table; accuracies are those of ``submission.probe``."""

    name: str
    dimensions: int
    squared_error: float | None
    probe_honest: float
    probe_same_set: float
    seconds: float
    cpu_seconds: float


def pca_representation(train: np.ndarray, test: np.ndarray, dimensions: int = PCA_DIMENSIONS) -> Representation:
    """scikit-learn's PCA of pixels, float32 (N, D) in [0, 1], fitted on the training images."""
    from sklearn.decomposition import PCA

    pca = PCA(min(dimensions, *train.shape), svd_solver="covariance_eigh").fit(train)
    codes = pca.transform(test)
    return Representation("pca", pca.transform(train), codes, pca.inverse_transform(codes).astype(np.float32))


def probe(train, train_labels, test, test_labels) -> tuple[float, float]:
    """``submission.probe`` with scikit-learn's logistic regression."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    from labs.deep_autoencoder import submission

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the limit is meant, and README names it
        classifier = LogisticRegression(max_iter=PROBE_ITERATIONS)
        return submission.probe(train, train_labels, test, test_labels, classifier)


def squared_error(x: np.ndarray, rebuilt: np.ndarray) -> float:
    """Mean over the images of ``submission.squared_error_per_image``."""
    import torch

    from labs.deep_autoencoder import submission

    return float(submission.squared_error_per_image(torch.from_numpy(x), torch.from_numpy(rebuilt)).mean())


def compare(representations: list[Representation], train_labels, test_labels, pixels: np.ndarray) -> list[Row]:
    """The table: one row for each representation; ``pixels`` are the test images, float32 (N, D) in [0, 1]."""
    from tqdm import tqdm

    rows = []
    for r in tqdm(representations, desc="probes", unit="probe", delay=1, leave=False, ascii=True):
        error = None if r.rebuilt is None else squared_error(pixels, r.rebuilt)
        honest, same_set = probe(r.train, train_labels, r.test, test_labels)
        rows.append(Row(r.name, r.test.shape[1], error, honest, same_set, r.seconds, r.cpu_seconds))
    return rows


HEADER = (
    "representation",
    "dimensions",
    "squared error",
    "probe: train -> test",
    "probe: test -> test",
    "train s",
    "CPU s",
)


def table(rows: list[Row]) -> str:
    """The table as a person reads it on a console."""
    lines = [("{:<33}{:>11}{:>15}{:>22}{:>21}{:>9}{:>8}").format(*HEADER)]
    for r in rows:
        error = "-" if r.squared_error is None else f"{r.squared_error:.2f}"
        times = (f"{r.seconds:.0f}", f"{r.cpu_seconds:.0f}") if r.seconds else ("-", "-")
        lines.append(
            f"{TITLES[r.name]:<33}{r.dimensions:>11}{error:>15}{r.probe_honest:>22.4f}{r.probe_same_set:>21.4f}"
            f"{times[0]:>9}{times[1]:>8}"
        )
    lines.append("squared error: sum over the pixels (0 to 1), mean over the test images, none of which was trained on")
    lines.append("probe: logistic regression, fitted on -> scored on; 'test -> test' is the assignment's own variant:")
    lines.append("       fitted and scored on the same test images, so it is too high")
    return "\n".join(lines)


def write_student_csv(folder: Path, student_id: str, row: Row) -> Path:
    """The assignment's file, in its own form: a name, and the accuracy of its own variant of the probe."""
    path = folder / f"{student_id}.csv"
    files.write_text(path, f"{row.name},{row.probe_same_set}\n")
    return path


# --------------------------------------------------------------------------- pictures


def tsne_plane(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """t-SNE of 2,000 codes drawn at random, always the same ones.

    Source: van der Maaten and Hinton 2008, Visualizing Data using t-SNE.

    Args:
        codes: float (N, d).

    Returns:
        float (n, 2), and the indices of the n codes that were drawn.
    """
    from sklearn.manifold import TSNE

    n = min(N_TSNE, len(codes))
    chosen = np.random.default_rng(TSNE_SEED).choice(len(codes), n, replace=False)
    drawn = codes[chosen].astype(np.float64)
    if (span := np.ptp(drawn, axis=0).max()) < 1e-3:
        # An autoencoder that never left its plateau: stretched, or t-SNE would only see rounding errors.
        drawn = (drawn - drawn.mean(axis=0)) / max(span, 1e-12)
        drawn += np.random.default_rng(0).normal(0, 1e-6, drawn.shape)
    perplexity = min(30, (n - 1) / 3)
    return TSNE(2, init="pca", random_state=TSNE_SEED, perplexity=perplexity).fit_transform(drawn), chosen


def plot_tsne(codes: np.ndarray, labels: np.ndarray, path: Path, title: str) -> None:
    """The picture of ``tsne_plane``, coloured by digit; labels int64 (N,)."""
    plane, chosen = tsne_plane(codes)
    names = [str(i) for i in range(N_CLASSES)]
    title = f"{title}: t-SNE of {len(plane):,} test images"
    scatter.plot_plane(plane, labels[chosen], names, path, title, "true digit (number)")


def plot_reconstructions(
    pixels: np.ndarray, labels: np.ndarray, shown: list[Representation], errors, path: Path
) -> None:
    """Ten test images, one of each digit, above what each representation makes of them.

    Args:
        pixels: float32 (N, D), the test images.
        labels: int64 (N,).
        shown: representations with ``rebuilt``.
        errors: their squared errors.
        path: of the PNG.
    """
    columns = [int(np.flatnonzero(labels == digit)[0]) for digit in np.unique(labels)]
    rows = [("test image", pixels)]
    rows += [(f"{TITLES[r.name]}\nsquared error {e:.2f}", r.rebuilt) for r, e in zip(shown, errors, strict=True)]
    figure = Figure(figsize=(2.6 + 0.8 * len(columns), 0.5 + 0.9 * len(rows)), dpi=120, layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for line, (name, images) in zip(axes, rows, strict=True):
        for ax, i in zip(line, columns, strict=True):
            ax.imshow(images[i].reshape(28, 28), cmap="gray", vmin=0, vmax=1)
            ax.set_xticks([])
            ax.set_yticks([])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    figure.suptitle("Test images and their reconstructions (error: mean over all test images)", fontsize=11)
    shared.save_figure(figure, path)


def plot_training(rbms, autoencoders, loss_fn: str, path: Path) -> None:
    """Loss by epoch: the RBMs on the left (where there are any), both fine-tunings on the right."""
    n = 2 if rbms else 1
    figure = Figure(figsize=(5.6 * n, 4.2), dpi=120, layout="constrained")
    *left, right = figure.subplots(1, n, squeeze=False)[0]
    for ax in left:
        for i, stage in enumerate(rbms, start=1):
            shape = tuple(stage.model.fc.shape)
            ax.plot(
                np.arange(1, len(stage.loss) + 1), stage.loss, marker="o", ms=3, label=f"RBM {i}: {shape[0]}-{shape[1]}"
            )
        ax.set_title("Pretraining: up through the stack and down again")
        ax.set_ylabel("squared error per image (1,000 training images)")
    for name, stage in autoencoders.items():
        right.plot(np.arange(1, len(stage.loss) + 1), stage.loss, marker="o", ms=3, label=TITLES[name])
    right.set_title("Fine-tuning")
    right.set_ylabel(f"mean training loss ({loss_fn})")
    right.set_yscale("log")
    for ax in (*left, right):
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
        ax.legend()
    shared.save_figure(figure, path)


def plot_filters(fc: np.ndarray, path: Path, count: int = 64) -> None:
    """What the first hidden units of the lowest RBM look for: their weights as images, red positive, blue negative.

    Args:
        fc: float (D, H).
        path: of the PNG.
        count: how many units, those with the largest weights first.
    """
    order = np.argsort(-np.linalg.norm(fc, axis=0))[:count]
    side = int(np.ceil(np.sqrt(len(order))))
    figure = Figure(figsize=(7, 7.4), dpi=110, layout="constrained")
    for ax in (grid := figure.subplots(side, side, squeeze=False)).flat:
        ax.axis("off")
    for ax, unit in zip(grid.flat, order, strict=False):
        bound = np.abs(fc[:, unit]).max() or 1.0
        ax.imshow(fc[:, unit].reshape(28, 28), cmap="RdBu_r", vmin=-bound, vmax=bound)
    figure.suptitle(
        f"Weights of {len(order)} hidden units of the first RBM\nred: ink excites the unit, blue: ink inhibits it"
    )
    shared.save_figure(figure, path)
