"""The assignment's analysis of a trained run: errors, probes, t-SNE, the table, the CSV file and the pictures.

Symbols: N images, D = 784 pixels, d numbers of a code. Pixels lie in [0, 1]; errors are squared errors per image,
summed over its pixels, as in the paper.
"""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE

from hi_mnist import files, scatter
from hi_mnist.data import N_CLASSES, DataSet
from labs import shared
from labs.deep_autoencoder import submission, training

PAPER = {"the paper's autoencoder": 3.00, "the paper's logistic PCA": 8.01, "the paper's PCA": 13.87}  # MNIST, code 30
PROBE_ITERATIONS = 300  # of L-BFGS; on raw pixels it would go on for thousands that change the third digit
N_TSNE = 2000
TSNE_SEED = 929  # the assignment's
TITLES = {"raw": "raw pixels", "pca": "PCA, as many numbers", "stack": "RBM stack, not fine-tuned"} | training.TITLES
HEADER = (
    "representation", "dimensions", "squared error", "probe: train -> test", "probe: test -> test", "train s", "CPU s",
)  # fmt: skip
LEGEND = """
squared error: sum over the pixels (0 to 1), mean over the test images, none of which was trained on
probe: logistic regression, fitted on -> scored on; 'test -> test' is the assignment's own variant:
       fitted and scored on the same test images, so it is too high"""


class Representation(NamedTuple):
    """One way to encode the images."""

    name: str  # a key of TITLES
    train: np.ndarray  # codes, float32 (N, d)
    test: np.ndarray  # likewise
    rebuilt: np.ndarray | None = None  # test images, float32 (N, D); None for raw pixels, which lose nothing
    seconds: float = 0.0  # of training: wall time
    cpu_seconds: float = 0.0  # of training: processor time of all threads


class Row(NamedTuple):
    """A line of the table; the error is the mean over the test images, accuracies are those of ``submission.probe``."""

    name: str
    dimensions: int
    squared_error: float | None
    probe_honest: float
    probe_same_set: float
    seconds: float
    cpu_seconds: float


def analyse(folder: Path, trained, images: DataSet, options, device) -> list[Row]:
    """Probes, errors and pictures of what ``training.train`` gave, written into the run's folder: the table's rows."""
    train, test = training.pixels(images.train), training.pixels(images.test)
    found = representations(trained, train, test, options.layers[-1], device)
    rows = []
    for r in shared.progress(found, desc="probes", unit="probe"):
        pair = None if r.rebuilt is None else map(torch.from_numpy, (test, r.rebuilt))
        error = float(submission.squared_error_per_image(*pair).mean()) if pair else None
        accuracies = submission.probe(r.train, images.train_labels, r.test, images.test_labels, Probe())
        rows.append(Row(r.name, r.test.shape[1], error, *accuracies, r.seconds, r.cpu_seconds))
    shared.write_csv(folder / "table.csv", HEADER, rows)
    first = next(row for row in rows if row.name in trained.autoencoders)
    # The assignment's own form: a name, and the accuracy of its own variant of the probe.
    files.write_text(folder / f"{options.student_id}.csv", f"{first.name},{first.probe_same_set}\n")
    plot_reconstructions(test, images.test_labels, found[1:], rows[1:], folder / "reconstructions.png")
    plot_training(trained.rbms, trained.autoencoders, options.loss_fn, folder / "training.png")
    plot_errors(trained, rows, folder / "test-error.png", (options.dataset, options.layers[-1]) == ("mnist", 30))
    if trained.rbms:
        plot_filters(trained.rbms[0].model.fc.cpu().numpy(), folder / "rbm-filters.png")
    seen = {"raw", "pretrained", "modern", "scratch" if "scratch" in trained.autoencoders else "longer"}
    for r in found:
        if r.name in seen:
            print(f"t-SNE: {TITLES[r.name]}", flush=True)
            plot_tsne(r.test, images.test_labels, folder / f"t-sne-{r.name}.png", TITLES[r.name])
    return rows


def representations(trained, train: np.ndarray, test: np.ndarray, dimensions: int, device) -> list[Representation]:
    """All ways to encode pixels, float32 (N, D) in [0, 1]; training after pretraining has the times of both."""
    found = [Representation("raw", train, test), pca_representation(train, test, dimensions)]
    ways = [("stack", trained.stack.v2h, trained.stack.h2v, trained.rbms)] if trained.rbms else []
    for name, stage in trained.autoencoders.items():
        stages = [*(trained.rbms if name == "pretrained" else []), stage]
        ways.append((name, stage.model.encoder, stage.model.decoder, stages))
    for name, encode, decode, stages in ways:
        codes = [shared.in_batches(encode, x, device) for x in (train, test)]
        times = [sum(getattr(stage, what) for stage in stages) for what in ("seconds", "cpu_seconds")]
        found.append(Representation(name, *codes, shared.in_batches(decode, codes[1], device), *times))
    return found


def pca_representation(train: np.ndarray, test: np.ndarray, dimensions: int = 30) -> Representation:
    """scikit-learn's PCA of pixels, float32 (N, D) in [0, 1], fitted on the training images."""
    pca = PCA(min(dimensions, *train.shape), svd_solver="covariance_eigh").fit(train)
    codes = pca.transform(test)
    return Representation("pca", pca.transform(train), codes, pca.inverse_transform(codes).astype(np.float32))


class Probe(LogisticRegression):
    """scikit-learn's logistic regression, stopped after a number of iterations that README names."""

    def __init__(self):
        super().__init__(max_iter=PROBE_ITERATIONS)

    def fit(self, X, y, sample_weight=None):
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # the limit is meant
            return super().fit(X, y, sample_weight)


def table(rows: list[Row]) -> str:
    """The table as a person reads it on a console."""
    lines = []
    for r in rows:
        error = "-" if r.squared_error is None else f"{r.squared_error:.2f}"
        times = [f"{t:.0f}" if r.seconds else "-" for t in (r.seconds, r.cpu_seconds)]
        lines.append((TITLES[r.name], r.dimensions, error, f"{r.probe_honest:.4f}", f"{r.probe_same_set:.4f}", *times))
    return shared.text_table(HEADER, lines) + LEGEND


def tsne_plane(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """t-SNE of 2,000 codes, float (N, d), drawn at random, always the same: float (n, 2), and the indices of the drawn.

    Source: van der Maaten and Hinton 2008, Visualizing Data using t-SNE.
    """
    n = min(N_TSNE, len(codes))
    chosen = np.random.default_rng(TSNE_SEED).choice(len(codes), n, replace=False)
    drawn = codes[chosen].astype(np.float64)
    if (span := np.ptp(drawn, axis=0).max()) < 1e-3:
        # An autoencoder that never left its plateau: stretched, or t-SNE would only see rounding errors.
        drawn = (drawn - drawn.mean(axis=0)) / max(span, 1e-12)
        drawn += np.random.default_rng(0).normal(0, 1e-6, drawn.shape)
    tsne = TSNE(2, init="pca", random_state=TSNE_SEED, perplexity=min(30, (n - 1) / 3))
    return tsne.fit_transform(drawn), chosen


def plot_tsne(codes: np.ndarray, labels: np.ndarray, path: Path, title: str) -> None:
    """The picture of ``tsne_plane``, coloured by digit; labels int64 (N,)."""
    plane, chosen = tsne_plane(codes)
    title = f"{title[0].upper()}{title[1:]}: t-SNE of {len(plane):,} test images"
    names = [str(i) for i in range(N_CLASSES)]
    scatter.plot_plane(plane, labels[chosen], names, path, title, "true digit (number)")


def plot_reconstructions(pixels: np.ndarray, labels: np.ndarray, shown: list[Representation], rows, path: Path) -> None:
    """Test images, float32 (N, D), one of each digit, above what each representation makes of them."""
    columns = [int(np.flatnonzero(labels == digit)[0]) for digit in np.unique(labels)]
    left = ["test image", *(f"{TITLES[row.name]}\nsquared error {row.squared_error:.2f}" for row in rows)]
    images = [x[columns].reshape(-1, 28, 28) for x in (pixels, *(r.rebuilt for r in shown))]
    title = "Test images and their reconstructions (error: mean over all test images)"
    shared.save_figure(shared.picture_grid(images, left, title=title), path)


def plot_training(rbms, autoencoders, loss_fn: str, path: Path) -> None:
    """Loss by epoch: the RBMs on the left (where there are any), both fine-tunings on the right."""
    stacked = {f"RBM {i}: {'-'.join(map(str, s.model.fc.shape))}": s for i, s in enumerate(rbms, start=1)}
    tuned = {TITLES[name]: stage for name, stage in autoencoders.items()}
    panels = [stages for stages in (stacked, tuned) if stages]
    figure, axes = shared.panels(len(panels), 5.6 * len(panels), 4.2)
    for ax, stages in zip(axes, panels, strict=True):
        for name, stage in stages.items():
            ax.plot(np.arange(1, len(stage.loss) + 1), stage.loss, marker="o", ms=3, label=name)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlabel("epoch")
        ax.grid(alpha=0.3)
        ax.legend()
    if stacked:
        label = f"squared error per image ({training.EVALUATED:,} training images)"
        axes[0].set(title="Pretraining: up through the stack and down again", ylabel=label)
    axes[-1].set(title="Fine-tuning", ylabel=f"mean training loss ({loss_fn})", yscale="log")
    shared.save_figure(figure, path)


def plot_errors(trained, rows: list[Row], path: Path, paper: bool) -> None:
    """Test images' squared error by epoch, and by processor time, pretraining included; ``paper`` adds its figures."""
    figure, axes = shared.panels(2, 11, 4.8, sharey=True)
    for name, stage in ((name, stage) for name, stage in trained.autoencoders.items() if stage.test_error):
        before = sum(rbm.cpu_seconds for rbm in trained.rbms) if name == "pretrained" else 0
        epochs = np.arange(1, len(stage.test_error) + 1)
        for ax, x in zip(axes, (epochs, before + epochs * stage.cpu_seconds / len(epochs)), strict=True):
            ax.plot(x, stage.test_error, "o-", ms=3, label=f"{TITLES[name]}: {stage.test_error[-1]:.2f}")
    lines = {f"PCA: {row.squared_error:.2f}": row.squared_error for row in rows if row.name == "pca"}
    lines |= {f"{name}: {error:.2f}": error for name, error in PAPER.items() if paper}
    for ax, axis in zip(axes, ("epoch of fine-tuning", "seconds of processor time, pretraining included"), strict=True):
        for (name, error), style in zip(lines.items(), ("-", "--", "-.", ":"), strict=False):
            ax.axhline(error, color="black", lw=0.9, ls=style, label=name)
        ax.set(xlabel=axis, yscale="log")
        ax.grid(alpha=0.3, which="both")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:g}")
    axes[0].set(ylabel="squared error per test image")
    figure.suptitle("How well the test images are rebuilt")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    shared.save_figure(figure, path)


def plot_filters(fc: np.ndarray, path: Path) -> None:
    """What 64 units of the lowest RBM look for: their weights in fc, float (D, H), the largest first."""
    order = np.argsort(-np.linalg.norm(fc, axis=0))[:64]
    units = [(fc[:, unit] / (np.abs(fc[:, unit]).max() or 1)).reshape(28, 28) for unit in order]
    title = f"Weights of {len(order)} hidden units of the first RBM\nred: ink excites the unit, blue: ink inhibits it"
    rows = [units[i : i + 8] for i in range(0, len(units), 8)]
    shared.save_figure(shared.picture_grid(rows, title=title, cmap="RdBu_r", vmin=-1), path)
