"""Measure the two networks; the figures in their model cards come from here. Of those that are shipped:

    >>> from hi_mnist import data, networks
    >>> from staff.pretrain import quality
    >>> quality.measure_ae(networks.load_ae(), data.load_data_set("mnist"), data.load_data_set("digits"))

Reference figures (PCA, a mixture's samples, real images against real images) are measured in the same run.
Symbols: N images, F features, K = 10 digits. Images are uint8 (N, 1, 28, 28), 0 the background.
"""

from statistics import mean, median, stdev
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from tqdm import tqdm

from grading import scores
from hi_mnist import data, files, networks
from hi_mnist.data import IMAGE_SHAPE, N_CLASSES, DataSet
from hi_mnist.networks import DDPM_STEPS, DEFAULT_GUIDANCE, GUIDANCE_INTERVAL, ae_encode
from hi_mnist.runs import TrainConfig
from report.measures import class_agreement, score_samples
from staff.pretrain.judge import Judge

SEEDS = range(5)
BATCH = 200  # samples drawn at a time
REAL_DRAWS = 5  # of real images, for what a perfect sampler would score and how much that varies
DIGITS = np.arange(N_CLASSES)


def measure_ae(ae, mnist: DataSet, standin: DataSet) -> dict:
    """How well the plane separates the digits, scored by mixtures that see no labels; and the reconstructions.

    Scores of mixtures are medians over ``SEEDS``. The training labels are used only by the 15 nearest neighbours.
    "errors" holds the mixture's digit of each test image, int64 (N,), -1 where it is right.
    """
    codes, test_codes = (ae_encode(ae, images).astype(np.float64) for images in (mnist.train, mnist.test))
    mixtures = fit_mixtures(codes)
    runs = [scores.agreement(mnist.test_labels, mixture.predict(test_codes)) for mixture in mixtures]
    middle = np.argsort([run["accuracy"] for run in runs], kind="stable")[(len(runs) - 1) // 2]
    clusters = mixtures[middle].predict(test_codes)
    named = name_clusters(clusters, mnist.test_labels)[clusters]
    small_codes, small_test = (ae_encode(ae, images).astype(np.float64) for images in (standin.train, standin.test))
    both = np.concatenate([small_codes, small_test])
    both_labels = np.concatenate([standin.train_labels, standin.test_labels])
    own = [scores.agreement(standin.test_labels, m.predict(small_test)) for m in fit_mixtures(small_codes)]
    foreign = [scores.agreement(both_labels, mixture.predict(both)) for mixture in mixtures]
    neighbours = KNeighborsClassifier(15).fit(codes, mnist.train_labels)
    return medians(runs) | {
        "lowest": min(run["accuracy"] for run in runs),
        "own": medians(own)["accuracy"],
        "foreign": medians(foreign)["accuracy"],
        "neighbours": float(neighbours.score(test_codes, mnist.test_labels)),
        "mse": float(np.mean((reconstruct(ae, mnist.test) - mnist.test / 255) ** 2)),
        "pca": pca_mse(mnist.train, mnist.test),
        "parameters": sum(weights.numel() for weights in ae.parameters()),
        "confusions": largest_confusions(clusters, mnist.test_labels),
        "errors": np.where(named == mnist.test_labels, -1, named),
    }


def fit_mixture(codes: np.ndarray, seed: int) -> GaussianMixture:
    """A mixture of K = 10 full Gaussians of codes float64 (N, d), without labels."""
    return GaussianMixture(N_CLASSES, max_iter=100, random_state=seed).fit(codes)


def fit_mixtures(codes: np.ndarray) -> list[GaussianMixture]:
    """``fit_mixture`` for each seed."""
    return [fit_mixture(codes, seed) for seed in SEEDS]


def clusters_of(ae, images: np.ndarray) -> np.ndarray:
    """The clusters that a mixture finds in the codes of images uint8 (N, 1, 28, 28), without labels: int64 (N,)."""
    codes = ae_encode(ae, images).astype(np.float64)
    return fit_mixture(codes, SEEDS[0]).predict(codes)


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """The median of each score over the runs."""
    return {name: median(run[name] for run in runs) for name in runs[0]}


def name_clusters(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The digit of each of ten clusters, int64 (10,), one to one, so that most images are named correctly.

    Both arguments are int (N,), 0 to 9. Source: Kuhn 1955, the Hungarian method.
    """
    return linear_sum_assignment(scores.count_labels(labels, clusters, N_CLASSES), maximize=True)[1]


def largest_confusions(clusters: np.ndarray, labels: np.ndarray, count: int = 5) -> list[str]:
    """The most frequent digits in clusters of another name, in descending order; both int (N,), 0 to 9."""
    wrong, names = scores.count_labels(labels, clusters, N_CLASSES), name_clusters(clusters, labels)
    wrong[DIGITS, names] = 0
    largest = np.argsort(-wrong, axis=None, kind="stable")[:count]
    places = zip(*np.unravel_index(largest, wrong.shape), strict=True)
    return [f"{wrong[k, c]} images of {c} among the {names[k]}s" for k, c in places if wrong[k, c]]


@torch.inference_mode()
def reconstruct(ae, images: np.ndarray) -> np.ndarray:
    """Encode and decode: uint8 (N, 1, 28, 28) -> float32 (N, 1, 28, 28) in [0, 1]."""
    device, blocks = next(ae.parameters()).device, torch.from_numpy(images).split(1000)
    return torch.cat([ae(block.to(device).float() / 255)[1].cpu() for block in blocks]).numpy()


def pca_mse(train: np.ndarray, test: np.ndarray) -> float:
    """Mean squared error per pixel of test images after PCA to two dimensions, pixels in [0, 1]."""
    rows = data.flatten(test).astype(np.float32) / 255
    pca = PCA(2, svd_solver="covariance_eigh").fit(data.flatten(train).astype(np.float32) / 255)
    return float(np.mean((pca.inverse_transform(pca.transform(rows)) - rows) ** 2, dtype=np.float64))


class Way(NamedTuple):
    """One way to draw: ``steps`` of 1,000 (all: ancestral; fewer: DDIM), and guidance, in ``GUIDANCE_INTERVAL``."""

    steps: int
    guidance: float

    def __str__(self) -> str:
        part = " in {:g} to {:g}".format(*GUIDANCE_INTERVAL) if self.guidance else ""
        return f"{self.steps:,} steps, guidance {self.guidance:g}{part}"


# The six, --ddpm_steps 50 and grade.py's further draws; and one without guidance.
WAYS = [Way(DDPM_STEPS, DEFAULT_GUIDANCE), Way(50, DEFAULT_GUIDANCE), Way(25, DEFAULT_GUIDANCE), Way(50, 0.0)]


def balanced_subset(labels: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """Indices of ``per_class`` different random images of each class: int64 (10 per_class,), by class."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.choice(np.flatnonzero(labels == c), per_class, replace=False) for c in DIGITS])


def mixture_samples(mnist: DataSet, per_class: int) -> np.ndarray:
    """The lab's other way to draw digits: PCA and a mixture, each component named by the best one-to-one matching.

    uint8 (10 per_class, 1, 28, 28), clipped to 0..255, sorted by digit.
    """
    rows = data.flatten(mnist.train).astype(np.float32)
    pca = PCA(TrainConfig.embedding_dim, svd_solver="covariance_eigh").fit(rows)
    codes = pca.transform(rows).astype(np.float64)
    gmm = fit_mixture(codes, TrainConfig.seed)
    components = np.argsort(name_clusters(gmm.predict(codes), mnist.train_labels))  # in the order of the digits
    rng = np.random.default_rng(TrainConfig.seed)
    drawn = [rng.multivariate_normal(gmm.means_[k], gmm.covariances_[k], per_class) for k in components]
    pixels = pca.inverse_transform(np.concatenate(drawn)).clip(0, 255).round().astype(np.uint8)
    return pixels.reshape(-1, *IMAGE_SHAPE)


def draw_samples(ddpm, way: Way, per_class: int) -> np.ndarray:
    """Draw ``per_class`` samples of each class: uint8 (10 per_class, 1, 28, 28), sorted by class.

    Every way starts from the same noise, so that differences are not due to luck.
    """
    asked = DIGITS.repeat(per_class)
    starts = tqdm(range(0, len(asked), BATCH), desc=str(way), leave=False)
    return np.concatenate([networks.draw_digits(ddpm, asked[i : i + BATCH], **way._asdict(), seed=i) for i in starts])


def nearest_distance(queries: np.ndarray, images: np.ndarray) -> float:
    """The median distance of queries to the nearest of ``images``, both uint8 (N, 1, 28, 28), pixels in [0, 1]."""
    queries, images = (data.flatten(x).astype(np.float32) / 255 for x in (queries, images))
    near = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(images)
    return float(np.median(near.kneighbors(queries)[0]))


def measure_ddpm(net, judge: Judge, mnist: DataSet, ways: list[Way], per_class: int) -> dict:
    """All figures of the diffusion model, beside real images and the lab's mixture, of 2 or more samples a class.

    The samples are kept in the cache: those of a thousand steps take a quarter of an hour.
    "errors" holds the samples of all ways, uint8 (N, 1, 28, 28), the digit asked for, and the one that the judge reads,
    both int64 (N,), -1 where it is the one asked for.
    """
    asked = DIGITS.repeat(per_class)
    draws = range(REAL_DRAWS)
    samples = {draw: mnist.train[balanced_subset(mnist.train_labels, per_class, draw)] for draw in draws}
    samples["GMM on PCA-10"] = mixture_samples(mnist, per_class)
    weights = files.data_hash(*(values.numpy(force=True) for values in net.state_dict().values()))
    drawn = {}
    for way in ways:
        depends_on, shapes = [weights, str(way), len(asked)], {"samples": (len(asked), *IMAGE_SHAPE)}
        kept = files.cached("ddpm", depends_on, shapes, lambda way=way: {"samples": draw_samples(net, way, per_class)})
        drawn[str(way)] = kept["samples"]
    rows = score_samples(samples | drawn, asked, (mnist.test, mnist.test_labels), judge)
    read = {name: judge.predict(judge.features(images)) for name, images in (samples | drawn).items()}
    for name, images in (samples | drawn).items():
        worst = min(class_agreement(asked, read[name])["per_class"])
        rows[name] |= {"worst digit": worst, "exactly 0": float((images == 0).mean())}
    for name, images in drawn.items():
        rows[name]["nearest"] = nearest_distance(images, mnist.train)
    real = [rows.pop(draw) for draw in draws]
    average, spread = ({name: of(row[name] for row in real) for name in real[0]} for of in (mean, stdev))
    rows = {"real training images, mean of draws": average, "their standard deviation": spread} | rows
    taken = np.concatenate([np.where(read[name] == asked, -1, read[name]) for name in drawn])
    return {
        "parameters": sum(weights.numel() for weights in net.parameters()),
        "samples": len(asked),
        "rows": rows,
        "nearest training image of real test images": nearest_distance(mnist.test[::10], mnist.train),
        "errors": (np.concatenate(list(drawn.values())), np.tile(asked, len(drawn)), taken),
    }
