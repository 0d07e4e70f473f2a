"""The steps of the tutorial, for the command line and the notebook alike: train, reconstruct, project, and plot.

Nothing here prints or writes: functions return arrays or matplotlib figures.
Symbols: N images, D = 784 pixels in [0, 1], d dimensions of the code.
"""

import itertools
import time
import warnings
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from hi_mnist import data, networks, training
from hi_mnist.cli import LabError
from hi_mnist.data import FASHION_NAMES, N_CLASSES
from hi_mnist.scatter import PALETTE
from labs import shared
from labs.fashion_tutorial import submission
from labs.fashion_tutorial.settings import Settings

N_NEIGHBORS = 10  # of LLE, Isomap and UMAP
N_VOTERS = 15  # neighbours that vote on a point's class
N_POINTS = 500  # test pictures that are projected
PIXELS_PCA = "PCA of pixels"  # beside the codes: what is there without any autoencoder


class Split(NamedTuple):
    """A split of the data set."""

    images: torch.Tensor  # float32 (N, 784) in [0, 1]
    labels: np.ndarray  # int64 (N,), never used for training


class Fitted(NamedTuple):
    """What training yields."""

    autoencoder: submission.AutoEncoder
    losses: list[float]  # binary cross-entropy of a pixel in nats, the mean of each epoch
    steps: list[float]  # the same at every step
    seconds: float


class Projection(NamedTuple):
    """Codes, or pixels, in the plane."""

    name: str
    plane: np.ndarray  # float64 (N, 2)
    seconds: float  # of processor time
    trustworthiness: float  # 0 to 1: how many of a point's neighbours in the plane are neighbours in what it shows
    accuracy: float  # share of points whose class most of their nearest neighbours in the plane have


def load(dataset: str) -> tuple[Split, Split]:
    """The training and the test split of a prepared data set."""
    splits = (data.load_split(split, dataset) for split in ("train", "test"))
    return tuple(Split(torch.from_numpy(data.flatten(images)).float() / 255, labels) for images, labels in splits)


def class_names(dataset: str) -> list[str]:
    return FASHION_NAMES if dataset == "fashion_mnist" else [str(k) for k in range(N_CLASSES)]


def fit(images: torch.Tensor, settings: Settings) -> Fitted:
    """Train on images, float32 (N, D) in [0, 1], in a new random order each epoch; a last, smaller batch is left out.

    Raises LabError where there is not one batch, or the loss became NaN.
    """
    if len(images) < settings.batch_size:
        raise LabError(f"--batch_size must be at most {len(images)}, the number of images, got {settings.batch_size}")
    training.set_seed(settings.seed)
    device = networks.get_device()
    autoencoder = submission.AutoEncoder(images.shape[1], settings.hidden_dim, settings.latent_dim).to(device)
    # Fused: one kernel for all parameters, where each of the twelve would cost its own overhead.
    optimizer = torch.optim.Adam(autoencoder.parameters(), lr=settings.learning_rate, fused=True)
    images, order = images.to(device), torch.Generator().manual_seed(settings.seed)
    per_epoch, losses, steps, start = len(images) // settings.batch_size, [], [], time.monotonic()
    with shared.progress(total=settings.epochs * per_epoch, desc="training", unit="step") as bar:
        for _ in range(settings.epochs):
            batches = torch.randperm(len(images), generator=order).to(device).split(settings.batch_size)
            for rows in batches[:per_epoch]:
                steps.append(float(submission.train_step(autoencoder, images[rows], optimizer)))
                bar.update()
            losses.append(float(np.mean(steps[-per_epoch:])))
            bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)  # a bar shown early is not cleared
            if not np.isfinite(losses[-1]):
                remedy = f"take a smaller --learning_rate or mend task 1.2 in {submission.__file__}"
                raise LabError(f"the loss is {losses[-1]}; {remedy}")
    return Fitted(autoencoder.eval(), losses, steps, time.monotonic() - start)


def reconstruct(network, images: torch.Tensor) -> np.ndarray:
    """What a network makes of ``images`` (N, D), its pictures of them where it is the autoencoder: float32 (N, d)."""
    return shared.in_batches(network, images, next(network.parameters()).device)


def encode(autoencoder, images: torch.Tensor) -> np.ndarray:
    """The codes of ``images``: float32 (N, d)."""
    return reconstruct(autoencoder.encoder, images)


def test_loss(autoencoder, images: torch.Tensor) -> float:
    """Binary cross-entropy of a pixel in nats, the mean over ``images`` (N, D)."""
    return F.binary_cross_entropy(torch.from_numpy(reconstruct(autoencoder, images)), images).item()


def least_loss(images: torch.Tensor) -> float:
    """The ``test_loss`` of a perfect reconstruction of (N, D), the pixels' own entropy: 0 only of black and white."""
    return F.binary_cross_entropy(images, images).item()


def kernel_width(codes: np.ndarray) -> float:
    """Gamma of the kernel exp(-gamma |x - y|^2) for codes (N, d): one over their mean squared distance.

    The kernel says how alike two points are, and gamma how far a point sees. Much larger, all others are strangers to
    it, and kernel PCA shows nothing but a cross; much smaller, all are alike, and what is left is plain PCA. This one
    gives a typical pair exp(-1). scikit-learn's own 1/d is right for codes of variance 1/2, and these vary far more.
    """
    return float(1 / (2 * codes.var(axis=0).sum()))


def neighbour_accuracy(points: np.ndarray, labels: np.ndarray) -> float:
    """Share of ``points`` (N, d) whose class, int (N,), most of their nearest neighbours have, the point left out."""
    return float(KNeighborsClassifier(N_VOTERS).fit(points, labels).score(None, labels))


def unprojected(points: Split, codes: np.ndarray) -> dict[str, float]:
    """``neighbour_accuracy`` before any plane: of the pixels, of as many principal components, and of the codes."""
    pixels, d = points.images.numpy(), min(codes.shape)
    components = PCA(d, svd_solver="full").fit_transform(pixels)
    kinds = {"pixels": pixels, f"{d} principal components": components, f"{codes.shape[1]} code numbers": codes}
    return {name: neighbour_accuracy(rows, points.labels) for name, rows in kinds.items()}


def project(points: Split, codes: np.ndarray, seed: int, names: list[str] | None = None) -> list[Projection]:
    """Bring codes (N, d) into the plane by each method, and first the pixels of ``points``, the N pictures, by PCA.

    Classes only score the planes. ``names`` are those of methods; None takes all, with UMAP where it is installed.
    """
    codes, pixels = np.asarray(codes, np.float64), points.images.numpy().astype(np.float64)
    methods = {PIXELS_PCA: PCA(2)} | submission.projections(N_NEIGHBORS, kernel_width(codes), seed)
    if shared.has_umap() and (names is None or "UMAP" in names):
        import umap

        # UMAP compiles itself when it is first used, which takes longer than the work that is to be timed.
        with warnings.catch_warnings(action="ignore"):
            umap.UMAP(random_state=seed).fit_transform(codes[:50])
        methods["UMAP"] = umap.UMAP(n_neighbors=N_NEIGHBORS, random_state=seed, n_jobs=1)
    done = []
    wanted = [name for name in methods if names is None or name in [PIXELS_PCA, *names]]
    for name in shared.progress(wanted, desc="projecting", unit="method"):
        rows = pixels if name == PIXELS_PCA else codes
        # Threads of few points mostly wait for each other, and waiting counts as processor time.
        with threadpool_limits(1):
            start = time.process_time()  # what other programs do meanwhile is no part of it
            plane = np.asarray(methods[name].fit_transform(rows), np.float64)
            seconds = time.process_time() - start
        trust = trustworthiness(rows, plane, n_neighbors=N_NEIGHBORS)
        done.append(Projection(name, plane, seconds, trust, neighbour_accuracy(plane, points.labels)))
    return done


def plot_samples(split: Split, dataset: str) -> Figure:
    """Two pictures of each class, with its name."""
    images = split.images.reshape(-1, 28, 28).numpy()
    columns = [images[split.labels == k][:2] for k in range(N_CLASSES)]
    return shared.picture_grid(itertools.zip_longest(*columns), top=class_names(dataset))


def plot_losses(result: Fitted, floor: float) -> Figure:
    """The loss at each step, and its mean over each epoch, above the loss ``floor`` of a perfect reconstruction."""
    figure, (ax,) = shared.panels(1, 6.4, 3.4)
    per_epoch = len(result.steps) // len(result.losses)
    ax.plot(np.arange(1, len(result.steps) + 1) / per_epoch, result.steps, linewidth=0.4, color="#9bbbd6", label="step")
    epochs = np.arange(1, len(result.losses) + 1)
    ax.plot(epochs - 0.5, result.losses, "o-", color="#1f4e79", label="mean of the epoch")
    ax.axhline(floor, color="#d62728", linewidth=1, linestyle="--", label="perfect reconstruction")
    ax.set(xlabel="epoch", ylabel="binary cross-entropy (nats a pixel)", xlim=(0, len(epochs)))
    ax.set_ylim(floor - 0.02, max(result.losses[0], result.losses[-1] + 0.05) + 0.06)
    ax.legend(frameon=False)
    return figure


def plot_reconstructions(autoencoder, split: Split, dataset: str, count: int = 8) -> Figure:
    """The first ``count`` pictures above, what the autoencoder makes of them below."""
    images = split.images[:count]
    rows = (x.reshape(-1, 28, 28) for x in (images.numpy(), reconstruct(autoencoder, images)))
    names = [class_names(dataset)[label] for label in split.labels[:count]]
    return shared.picture_grid(rows, ["image", "reconstruction"], names)


def plot_projections(done: list[Projection], labels: np.ndarray, dataset: str) -> Figure:
    """All projections in one figure, coloured by class, each with its time and how well neighbours tell the class."""
    rows = -(-len(done) // 4)
    figure = Figure(figsize=(11.6, 2.9 * rows), dpi=110, layout="constrained")
    for i, p in enumerate(done, start=1):
        ax = figure.add_subplot(rows, 4, i, xticks=[], yticks=[])
        for k, name in enumerate(class_names(dataset)):
            ax.scatter(*p.plane[labels == k].T, color=PALETTE[k], s=9, linewidths=0, label=name)
        ax.set_title(f"{p.name}\n{p.seconds:.3f} s, {N_VOTERS}-NN accuracy {p.accuracy:.2f}", fontsize=9)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=9, markerscale=2)
    return figure
