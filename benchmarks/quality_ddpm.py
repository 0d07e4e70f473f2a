"""Samples of the shipped diffusion model, scored beside real images by the judge of ``benchmarks/judge.py``.

Symbols: N images, F features, K = 10 digits. Images are uint8 (N, 1, 28, 28), 0 the background.
"""

from dataclasses import dataclass
from statistics import mean

import numpy as np
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from tqdm import tqdm

from benchmarks.judge import Judge
from benchmarks.quality_ae import name_clusters
from hi_mnist import data
from hi_mnist.cli import LabError
from hi_mnist.data import IMAGE_SHAPE, N_CLASSES, DataSet
from hi_mnist.networks import DDPM_STEPS, DEFAULT_GUIDANCE, draw_digits, guidance_interval
from hi_mnist.runs import TrainConfig
from hi_mnist.settings import check, setting
from report.measures import class_agreement, score_samples

LAB_SEED = TrainConfig.seed  # of the mixture that is compared with the DDPM
FLOOR_DRAWS = 5  # training subsets for the floor of the Frechet distance
DIGITS = np.arange(N_CLASSES)

# --------------------------------------------------------------------------- ways to draw


@dataclass(frozen=True)
class Setting:
    """One way to draw: ``steps`` of 1,000 (all: ancestral; fewer: DDIM), guidance, and where it acts."""

    steps: int = setting(DDPM_STEPS, "steps", low=1, high=DDPM_STEPS)
    guidance: float = setting(DEFAULT_GUIDANCE, "weight of classifier-free guidance", low=0, high=100)
    low: float = setting(0.0, "end of the guided part, 0 the clean end", low=0, below=1)
    high: float = setting(1.0, "beginning of the guided part, 1 the noise", above=0, high=1)

    @property
    def name(self) -> str:
        sampler = "ancestral" if self.steps == DDPM_STEPS else "ddim"
        everywhere = not self.guidance or (self.low, self.high) == (0, 1)
        part = "" if everywhere else f"_in_{self.low:g}-{self.high:g}"
        return f"{sampler}{self.steps}_guidance{self.guidance:g}{part}"


def combine(steps: list[int], guidances: list[float], intervals: list[tuple[float, float]]) -> list[Setting]:
    """All combinations, each once; without guidance the interval does not matter. By default, the lab's own.

    Raises:
        LabError: a value is out of range.
    """
    for low, high in intervals:
        if not low < high:
            raise LabError(f"--interval must be two ascending numbers, got {low:g} {high:g}")
    settings = [
        check(Setting(count, weight, *(interval if weight else (0.0, 1.0))))
        for count in steps
        for weight in guidances
        for interval in intervals or [guidance_interval(count)]
    ]
    return list(dict.fromkeys(settings))


# --------------------------------------------------------------------------- samples


def balanced_subset(labels: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of ``per_class`` different random images of each class: int64 (10 per_class,), by class."""
    return np.concatenate([rng.choice(np.flatnonzero(labels == c), per_class, replace=False) for c in DIGITS])


def mixture_samples(mnist: DataSet, per_class: int, dim: int = 10) -> np.ndarray:
    """The lab's other way to draw digits: PCA and a mixture, each component named by the best one-to-one matching.

    Args:
        mnist: its training labels only name the components.
        per_class: samples of each component.
        dim: d of the PCA.

    Returns:
        uint8 (10 per_class, 1, 28, 28), clipped to 0..255, sorted by digit.
    """
    rows = data.flatten(mnist.train).astype(np.float32)
    pca = PCA(dim, svd_solver="covariance_eigh").fit(rows)
    codes = pca.transform(rows).astype(np.float64)
    gmm = GaussianMixture(N_CLASSES, max_iter=100, random_state=LAB_SEED).fit(codes)
    components = np.argsort(name_clusters(gmm.predict(codes), mnist.train_labels))  # in the order of the digits
    rng = np.random.default_rng(LAB_SEED)
    drawn = [rng.multivariate_normal(gmm.means_[k], gmm.covariances_[k], per_class) for k in components]
    pixels = pca.inverse_transform(np.concatenate(drawn)).clip(0, 255).round().astype(np.uint8)
    return pixels.reshape(-1, *IMAGE_SHAPE)


def draw_samples(ddpm, way: Setting, per_class: int, batch: int, seed: int) -> np.ndarray:
    """Draw ``per_class`` samples of each class, ``batch`` at a time: uint8 (10 per_class, 1, 28, 28), sorted by class.

    Every way starts from the same noise, so that differences are not due to luck.
    """
    asked = DIGITS.repeat(per_class)
    how = {"steps": way.steps, "guidance": way.guidance, "interval": (way.low, way.high)}
    starts = tqdm(range(0, len(asked), batch), desc=way.name, leave=False)
    return np.concatenate([draw_digits(ddpm, asked[i : i + batch], **how, seed=seed + i) for i in starts])


# --------------------------------------------------------------------------- measures


def nearest_distances(queries: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Distance of each query to the nearest of ``images``, both uint8 (N, 1, 28, 28): (N,), pixels in [0, 1]."""
    queries, images = (data.flatten(x).astype(np.float32) / 255 for x in (queries, images))
    return NearestNeighbors(n_neighbors=1, algorithm="brute").fit(images).kneighbors(queries)[0][:, 0]


def measure(
    net, judge: Judge, mnist: DataSet, ways: list[Setting], *, per_class: int, batch: int, seed: int
) -> tuple[dict, dict[str, np.ndarray]]:
    """All figures of the diffusion model, beside real images and the lab's mixture.

    Args:
        net: from ``hi_mnist.networks.load_ddpm``.
        judge: of ``mnist``.
        mnist: the real MNIST.
        ways: how to draw.
        per_class: samples of each class, at least 2.
        batch: samples drawn at a time.
        seed: of the samples.

    Returns:
        a dict that JSON can hold; and for each way up to ten samples of each digit, uint8 (10, n, 28, 28).
    """
    asked = DIGITS.repeat(per_class)
    floor = [f"real training images, draw {i}" for i in range(FLOOR_DRAWS)]
    samples = {
        name: mnist.train[balanced_subset(mnist.train_labels, per_class, np.random.default_rng(i))]
        for i, name in enumerate(floor)
    }
    samples["GMM on PCA-10"] = mixture_samples(mnist, per_class)
    samples |= {way.name: draw_samples(net, way, per_class, batch, seed) for way in ways}
    rows = score_samples(samples, asked, (mnist.test, mnist.test_labels), judge)
    for name, images in samples.items():
        shares = class_agreement(asked, judge.predict(judge.features(images)))["per_class"]
        rows[name] |= {"worst": min(shares), "exactly_0": float((images == 0).mean()), "by_digit": shares}
    for way in ways:
        distances = nearest_distances(samples[way.name], mnist.train)
        rows[way.name] |= {"nearest": float(np.median(distances)), "min": float(distances.min())}
    # What a perfect sampler would score; its Frechet distance varies with the draw.
    rows[floor[0]]["frechet"] = mean(rows[name]["frechet"] for name in floor)
    typical = nearest_distances(mnist.test[:1000], mnist.train)
    return {
        "parameters": sum(weights.numel() for weights in net.parameters()),
        "samples": len(asked),
        "rows": {name: row for name, row in rows.items() if name not in floor[1:]},
        "nearest_of_real_test_images": float(np.median(typical)),
        "closest_hundredth_of_real_test_images": float(np.percentile(typical, 1)),
    }, {way.name: samples[way.name].reshape(N_CLASSES, per_class, 28, 28)[:, :10] for way in ways}
