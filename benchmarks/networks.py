"""Measure the two networks that the lab ships; every figure in their model cards comes from here.

    python -m benchmarks.networks ae                        clusters, reconstructions, speed
    python -m benchmarks.networks ddpm                      agreement, Frechet distance, diversity, speed
    python -m benchmarks.networks ddpm --steps 50 --guidance 0 0.5 1 1.5 --per_class 20     a quick look

The AE is scored by a mixture that sees no label; the DDPM by the judge of ``benchmarks/judge.py``. Reference
figures (PCA, a mixture's samples, real images against real images) are measured in the same run.
Symbols: N images, d embedding dimensions, K = 10. Images are uint8 (N, 1, 28, 28), 0 the background.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from tqdm import tqdm

import model
from benchmarks import measures, timing
from benchmarks.judge import Judge, load_judge
from hi_mnist import cli, data, files, prepare
from hi_mnist.cli import LabError
from hi_mnist.data import IMAGE_SHAPE, N_CLASSES
from hi_mnist.networks import (
    AE_NETWORK,
    DDPM_NETWORK,
    DDPM_STEPS,
    DEFAULT_GUIDANCE,
    ae_encode,
    draw_digits,
    get_device,
    guidance_interval,
    load_ae,
    load_ddpm,
    network_source,
    torch_threads,
)
from hi_mnist.runs import TrainConfig

SEEDS = range(5)  # of the mixtures that score the AE
LAB_SEED = TrainConfig.seed  # of the mixture whose samples stand beside the DDPM's
FLOOR_DRAWS = 5  # train subsets behind the floor of the Frechet distance
Split = tuple[np.ndarray, np.ndarray]  # images uint8 (N, 1, 28, 28), labels int64 (N,)


# --------------------------------------------------------------------------- what both commands share


def parameters(net: torch.nn.Module) -> int:
    """How many numbers the network has learnt."""
    return sum(p.numel() for p in net.parameters())


def machine() -> dict:
    """What the timings depend on."""
    return timing.machine() | {"device": str(get_device())}


def seconds_of(job: Callable[[], object], repeats: int) -> float | None:
    """Median wall-clock seconds of ``job`` on two torch threads; None for no repeats."""
    with torch_threads(2):
        times = timing.alternate({"job": job}, repeats, warm_up=False)["job"]
    return median(times) if times else None


def _figure(width: float, height: float):
    """A matplotlib figure that needs no display and touches no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save_figure(figure, path: Path) -> str:
    with files.atomic_path(path) as partial:
        figure.savefig(partial)
    return str(path)


def save_rows(rows: list[tuple[str, np.ndarray]], path: Path, captions: list[str], title: str) -> str:
    """Save named rows of equally many images (n, 1, 28, 28) of 0..255 as one picture, with a caption below each column.

    Returns:
        the path, as text.
    """
    columns = len(rows[0][1])
    figure = _figure(1.0 * columns + 0.4, 1.05 * len(rows) + 0.65)
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for (name, images), line in zip(rows, axes, strict=True):
        for axis, image in zip(line, images, strict=True):
            axis.imshow(image.reshape(28, 28), cmap="gray", vmin=0, vmax=255)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=8)
    for axis, caption in zip(axes[-1], captions, strict=True):
        axis.set_xlabel(caption, fontsize=8)
    return _save_figure(figure, path)


# --------------------------------------------------------------------------- autoencoder


def measure_ae(ae, train: Split, test: Split, standin: tuple[Split, Split], pictures: Path, repeats: int = 3) -> dict:
    """All figures of the AutoEncoder.

    Args:
        ae: from ``hi_mnist.networks.load_ae``.
        train, test: the real MNIST; the training labels serve only the 15-nearest-neighbour figure.
        standin: the training and test split of the stand-in's digits.
        pictures: an existing folder for the two pictures.
        repeats: of the timing.

    Returns:
        a dict that JSON can hold.
    """
    before = machine()
    codes_train, codes_test = (ae_encode(ae, images).astype(np.float64) for images, _ in (train, test))
    mixtures = fit_mixtures(codes_train)
    runs = [measures.clustering_scores(m.predict(codes_test), test[1]) for m in mixtures]
    middle = median_run([run["accuracy"] for run in runs])
    clusters = mixtures[middle].predict(codes_test)
    table = measures.contingency(test[1], measures.match_clusters(clusters, test[1])[clusters])
    decoded = reconstruct(ae, test[0])
    return {
        "network": "ae",
        "parameters": parameters(ae),
        "encoding_seconds": seconds_of(lambda: ae_encode(ae, train[0]), repeats),
        "encoded_images": len(train[0]),
        "clustering": medians(runs) | {"runs": runs, "seeds": list(SEEDS)},
        "confusion": {
            "seed": SEEDS[middle],
            "table": table.tolist(),
            "largest": measures.largest_confusions(table),
        },
        "reconstruction_mse": measures.pixel_mse(decoded, test[0] / 255),
        "pca2_mse": pca_mse(train[0], test[0]),
        "standin": score_standin(ae, standin, mixtures),
        "knn15_accuracy": knn_accuracy(codes_train, train[1], codes_test, test[1]),
        "pictures": [
            draw_reconstructions(test, decoded, pictures / "ae_reconstructions.png"),
            draw_plane(codes_test, test[1], pictures / "ae_plane.png"),
        ],
        "machine": before,
    }


def fit_mixtures(codes: np.ndarray) -> list[GaussianMixture]:
    """A mixture of K = 10 full Gaussians for each seed: real (N, d), no label enters."""
    return [GaussianMixture(N_CLASSES, max_iter=100, random_state=seed).fit(codes) for seed in SEEDS]


def median_run(values: list[float]) -> int:
    """The index of the run whose value is the (lower) median."""
    return sorted(range(len(values)), key=values.__getitem__)[(len(values) - 1) // 2]


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """The median of each score over the runs."""
    return {name: median(run[name] for run in runs) for name in runs[0]}


def score_standin(ae, standin: tuple[Split, Split], mnist_mixtures: list[GaussianMixture]) -> dict:
    """Clustering scores on the stand-in's digits, which the AE has never seen.

    Returns:
        ``own_gmm``: mixtures fitted on the stand-in's encoded training split, scored on its test split;
        ``mnist_gmm``: the mixtures of the real MNIST, scored on both splits together (they saw neither).
        Medians over the seeds.
    """
    (train_images, train_labels), (test_images, test_labels) = standin
    train, test = (ae_encode(ae, images).astype(np.float64) for images in (train_images, test_images))
    both, labels = np.concatenate([train, test]), np.concatenate([train_labels, test_labels])
    own = [measures.clustering_scores(m.predict(test), test_labels) for m in fit_mixtures(train)]
    foreign = [measures.clustering_scores(m.predict(both), labels) for m in mnist_mixtures]
    return {
        "own_gmm": medians(own) | {"images": len(test_labels)},
        "mnist_gmm": medians(foreign) | {"images": len(labels)},
    }


@torch.inference_mode()
def reconstruct(ae, images: np.ndarray, batch: int = 1000) -> np.ndarray:
    """Encode and decode: uint8 (N, 1, 28, 28) -> float32 (N, 1, 28, 28) in [0, 1]."""
    device = next(ae.parameters()).device
    blocks = torch.from_numpy(images).split(batch)
    return torch.cat([ae(block.to(device).float() / 255)[1].cpu() for block in blocks]).numpy()


def pca_mse(train: np.ndarray, test: np.ndarray, dim: int = 2) -> float:
    """Per-pixel reconstruction error of PCA on the test images, pixels in [0, 1]."""
    rows = data.flatten(test).astype(np.float32) / 255
    pca = PCA(dim, svd_solver="covariance_eigh").fit(data.flatten(train).astype(np.float32) / 255)
    return measures.pixel_mse(pca.inverse_transform(pca.transform(rows)), rows)


def knn_accuracy(codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray) -> float:
    """Share of the test images whose 15 nearest training images in the plane outvote to the right digit."""
    return float(KNeighborsClassifier(15).fit(codes, labels).score(test_codes, test_labels))


def draw_reconstructions(test: Split, decoded: np.ndarray, path: Path) -> str:
    """The first test image of each digit over its reconstruction, float (N, 1, 28, 28) in [0, 1]."""
    first = [int(np.flatnonzero(test[1] == digit)[0]) for digit in range(N_CLASSES)]
    captions = [f"MSE {measures.pixel_mse(decoded[i], test[0][i] / 255):.3f}" for i in first]
    rows = [("original", test[0][first]), ("reconstruction", decoded[first] * 255)]
    return save_rows(rows, path, captions, "test images and what the AutoEncoder makes of their two numbers")


def draw_plane(codes: np.ndarray, labels: np.ndarray, path: Path) -> str:
    """The first two coordinates of the codes, real (N, d), coloured by digit, each digit named at its median."""
    from matplotlib import colormaps, patheffects

    figure = _figure(7, 6.5)
    axis = figure.subplots()
    order = np.random.default_rng(0).permutation(len(codes))  # else the last digit would cover the others
    colours = colormaps["tab10"](labels[order])
    axis.scatter(codes[order, 0], codes[order, 1], s=3, c=colours, linewidths=0, rasterized=True)
    for digit in range(N_CLASSES):
        x, y = np.median(codes[labels == digit, :2], axis=0)
        style = {"fontsize": 18, "weight": "bold", "color": colormaps["tab10"](digit), "ha": "center", "va": "center"}
        outline = [patheffects.withStroke(linewidth=4, foreground="white")]
        axis.text(x, y, str(digit), path_effects=outline, **style)
    axis.set_title(f"{len(codes):,} test images in the AutoEncoder's plane, coloured by their digit", fontsize=10)
    axis.set_aspect("equal", adjustable="datalim")
    return _save_figure(figure, path)


def print_ae(result: dict) -> None:
    scores, standin = result["clustering"], result["standin"]
    print(f"parameters                    {result['parameters']:,}")
    if result["encoding_seconds"] is not None:
        print(f"encoding {result['encoded_images']:,} images        {result['encoding_seconds']:.2f} s, 2 threads")
    print("mixture of ten on the plane, fitted on train, scored on test, median of five seeds:")
    print(f"  accuracy {scores['accuracy']:.4f}   NMI {scores['nmi']:.4f}   ARI {scores['ari']:.4f}")
    print(f"  accuracy of each seed: {' '.join(format(run['accuracy'], '.4f') for run in scores['runs'])}")
    print("  largest confusions (true digit in the cluster of another):")
    for c in result["confusion"]["largest"]:
        print(f"    {c['count']:4d} images of {c['true']} among the {c['taken_for']}s")
    print(f"15 nearest neighbours         {result['knn15_accuracy']:.4f}")
    print(f"reconstruction MSE            {result['reconstruction_mse']:.4f}   (PCA, 2: {result['pca2_mse']:.4f})")
    for title, key in (("its own mixture", "own_gmm"), ("MNIST's mixture", "mnist_gmm")):
        s = standin[key]
        print(f"stand-in, {title}     accuracy {s['accuracy']:.4f}   NMI {s['nmi']:.4f}   ({s['images']:,} images)")


# --------------------------------------------------------------------------- diffusion


@dataclass(frozen=True)
class Setting:
    """One way to draw: ``steps`` of 1,000 (all of them: ancestral; fewer: DDIM), guidance, and where it acts."""

    steps: int
    guidance: float
    interval: tuple[float, float] = (0.0, 1.0)

    @property
    def name(self) -> str:
        sampler = "ancestral" if self.steps == DDPM_STEPS else "ddim"
        part = "" if self.interval == (0.0, 1.0) or not self.guidance else "_in_{:g}-{:g}".format(*self.interval)
        return f"{sampler}{self.steps}_guidance{self.guidance:g}{part}"

    def network_images(self) -> int:
        """How many images the network sees for one sample: guided steps take two."""
        low, high = self.interval
        guided = self.steps * (high - low) if self.guidance else 0
        return self.steps + round(guided)


class Reference:
    """What samples are measured against, computed once.

    Args:
        judge: the judge.
        train, test: the real MNIST.
    """

    def __init__(self, judge: Judge, train: Split, test: Split):
        self.judge, self.train, self.test = judge, train, test
        self.features = judge.features(test[0])
        self.feature_spreads = measures.class_spreads(self.features, test[1])
        self.pixel_spreads = measures.class_spreads(data.flatten(test[0]), test[1])

    def score(self, images: np.ndarray, asked: np.ndarray) -> dict:
        """All measures of samples that have a class: uint8 (N, 1, 28, 28) and int64 (N,)."""
        features = self.judge.features(images)
        in_features = measures.diversity(features, asked, self.feature_spreads)
        in_pixels = measures.diversity(data.flatten(images), asked, self.pixel_spreads)
        return {
            "agreement": measures.agreement(asked, self.judge.predict(images)),
            "frechet": measures.frechet_distance(features, self.features),
            "diversity": {
                "features": float(in_features.mean()),
                "pixels": float(in_pixels.mean()),
                "features_per_class": in_features.tolist(),
                "pixels_per_class": in_pixels.tolist(),
            },
            "background": measures.background(images),
        }


def balanced_subset(labels: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of ``per_class`` random images of each class, without repetition: int64 (10 per_class,), by class."""
    return np.concatenate([rng.choice(np.flatnonzero(labels == c), per_class, replace=False) for c in range(N_CLASSES)])


def score_real(reference: Reference, per_class: int) -> dict:
    """The same measures on real training images, as many as there are samples: what a perfect sampler would get.

    The Frechet distance is the mean over several draws; the rest is of the first draw.
    """
    images, labels = reference.train
    draws = [balanced_subset(labels, per_class, np.random.default_rng(seed)) for seed in range(FLOOR_DRAWS)]
    features = (reference.judge.features(images[draw]) for draw in draws)
    floor = [measures.frechet_distance(f, reference.features) for f in features]
    return reference.score(images[draws[0]], labels[draws[0]]) | {"frechet": mean(floor), "frechet_draws": floor}


def mixture_samples(train: Split, per_class: int, dim: int = 10, seed: int = LAB_SEED) -> tuple[np.ndarray, np.ndarray]:
    """The lab's other way to draw digits: PCA and a mixture, each component named by the best one-to-one matching.

    Args:
        train: the training images; their labels only name the components.
        per_class: samples of each component.
        dim: d of the PCA.
        seed: of the fit and of the draw.

    Returns:
        uint8 (10 per_class, 1, 28, 28), clipped to 0..255, and int64 (10 per_class,), the digits asked for.
    """
    pca = PCA(dim, svd_solver="covariance_eigh").fit(data.flatten(train[0]).astype(np.float32))
    codes = pca.transform(data.flatten(train[0]).astype(np.float32)).astype(np.float64)
    gmm = GaussianMixture(N_CLASSES, max_iter=100, random_state=seed).fit(codes)
    names = measures.match_clusters(gmm.predict(codes), train[1])
    rng = np.random.default_rng(seed)
    drawn = [
        rng.multivariate_normal(gmm.means_[k], gmm.covariances_[k], per_class) for k in np.argsort(names)
    ]  # in the order of the digits
    pixels = pca.inverse_transform(np.concatenate(drawn)).clip(0, 255).round().astype(np.uint8)
    return pixels.reshape(-1, *IMAGE_SHAPE), np.repeat(np.arange(N_CLASSES), per_class)


def draw_samples(net, setting: Setting, per_class: int, *, batch: int, seed: int, bar) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``per_class`` samples of each class.

    Every setting starts from the same noise, so that settings differ by what they do, not by luck.

    Args:
        net: from ``hi_mnist.networks.load_ddpm``.
        batch: samples at a time; it changes the order of the noise, and so the samples.
        bar: a progress bar that counts steps of the sampler.

    Returns:
        uint8 (10 per_class, 1, 28, 28) and int64 (10 per_class,), sorted by class.
    """
    generator = torch.Generator().manual_seed(seed)
    asked = torch.arange(N_CLASSES).repeat_interleave(per_class)
    options = {
        "guidance": setting.guidance,
        "guidance_interval": setting.interval,
        "generator": generator,
        "progress": lambda steps: _ticking(steps, bar),
    }
    blocks = []
    for labels in asked.split(batch):
        if setting.steps == DDPM_STEPS:
            x = model.ddpm_sample(net, labels, **options)
        else:
            x = model.ddim_sample(net, labels, steps=setting.steps, **options)
        blocks.append(model.to_pixels(x).cpu())
    return torch.cat(blocks).numpy(), asked.numpy()


def _ticking(steps, bar) -> Iterator[int]:
    for step in steps:
        bar.update()  # before the step: a sampler that returns in its last step never comes back here
        yield step


@torch.inference_mode()
def estimate_seconds(net, settings: list[Setting], samples: int, batch: int) -> float:
    """How long drawing will take, from a few timed passes of the network over a batch."""
    device = next(net.parameters()).device
    n = min(batch, samples)
    arguments = (
        torch.zeros(n, 1, 28, 28, device=device),
        torch.zeros(n, dtype=torch.long, device=device),
        torch.zeros(n, dtype=torch.long, device=device),
    )
    net(*arguments)  # the first pass pays for memory and kernels
    times = []
    for _ in range(5):
        start = time.perf_counter()
        net(*arguments)[0].sum().item()  # .item() waits for an accelerator
        times.append(time.perf_counter() - start)
    return median(times) / n * samples * sum(s.network_images() for s in settings)


def measure_ddpm(
    net,
    reference: Reference,
    settings: list[Setting],
    *,
    per_class: int,
    batch: int,
    seed: int,
    timing_repeats: int,
    pictures: Path,
) -> dict:
    """All figures of the diffusion model.

    Args:
        net: from ``hi_mnist.networks.load_ddpm``.
        reference: judge and real images.
        settings: the ways to draw.
        per_class: samples of each class, at least 2.
        batch: samples drawn at a time.
        seed: of the samples.
        timing_repeats: of the timing of one sample; 0 leaves it out.
        pictures: an existing folder; a sample sheet and a nearest-neighbour picture for each setting.

    Returns:
        a dict that JSON can hold.
    """
    before = machine()
    real = score_real(reference, per_class)
    mixture = reference.score(*mixture_samples(reference.train, per_class))
    typical = typical_nearest(reference)
    blocks = math.ceil(N_CLASSES * per_class / batch)
    results, paths = [], []
    with tqdm(total=blocks * sum(s.steps for s in settings), unit="step", dynamic_ncols=True, mininterval=1) as bar:
        for setting in settings:
            bar.set_description(setting.name)
            start = time.perf_counter()
            images, asked = draw_samples(net, setting, per_class, batch=batch, seed=seed, bar=bar)
            drawing = time.perf_counter() - start
            index, distances = measures.nearest_images(images, reference.train[0])
            results.append(
                {"name": setting.name, **asdict(setting), "drawing_seconds": drawing}
                | reference.score(images, asked)
                | {"nearest": {"median": float(np.median(distances)), "smallest": float(distances.min())}}
            )
            paths.append(save_sheet(images, per_class, pictures / f"ddpm_{setting.name}.png"))
            shown = np.arange(N_CLASSES) * per_class  # the first sample of each class
            paths.append(
                draw_nearest(
                    images[shown],
                    reference.train[0][index[shown]],
                    distances[shown],
                    typical["median"],
                    pictures / f"ddpm_{setting.name}_nearest.png",
                )
            )
    return {
        "network": "ddpm",
        "parameters": parameters(net),
        "judge_test_accuracy": reference.judge.test_accuracy,
        "per_class": per_class,
        "frechet_sizes": {"samples": N_CLASSES * per_class, "reference": len(reference.features)},
        "seed": seed,
        "batch": batch,
        "real_train": real,
        "gmm": mixture,
        "nearest_of_real_test": typical,
        "settings": results,
        "timing": time_one_sample(net, settings, timing_repeats),
        "pictures": paths,
        "machine": before,
    }


def typical_nearest(reference: Reference, count: int = 1000) -> dict[str, float]:
    """How far real test images are from their nearest training image, by the first ``count`` of them.

    Returns:
        ``median`` and ``percentile1`` of the distances, pixels in [0, 1].
    """
    distances = measures.nearest_images(reference.test[0][:count], reference.train[0])[1]
    return {"median": float(np.median(distances)), "percentile1": float(np.percentile(distances, 1))}


def time_one_sample(net, settings: list[Setting], repeats: int) -> list[dict]:
    """Median seconds of one sample as the lab draws it, for each number of steps, without and with guidance."""
    rows = []
    for steps in dict.fromkeys(s.steps for s in settings) if repeats else ():
        for guidance in (0.0, DEFAULT_GUIDANCE or 1.0):
            seconds = seconds_of(
                lambda steps=steps, w=guidance: draw_digits(net, [6], steps=steps, guidance=w, seed=0), repeats
            )
            rows.append({"steps": steps, "guidance": guidance, "seconds": seconds})
    return rows


def save_sheet(images: np.ndarray, per_class: int, path: Path, zoom: int = 2) -> str:
    """Save ten rows (classes) of up to ten samples; ``images`` are sorted by class, uint8 (10 per_class, 1, 28, 28)."""
    from PIL import Image

    columns = min(10, per_class)
    tiles = images.reshape(N_CLASSES, per_class, 28, 28)[:, :columns]
    # A grey line between the tiles, so that a veil on the black background would be seen.
    framed = np.pad(tiles, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=70)
    sheet = framed.transpose(0, 2, 1, 3).reshape(N_CLASSES * 30, columns * 30)
    with files.atomic_path(path) as partial:
        Image.fromarray(sheet).resize((sheet.shape[1] * zoom, sheet.shape[0] * zoom), Image.Resampling.NEAREST).save(
            partial
        )
    return str(path)


def draw_nearest(samples: np.ndarray, nearest: np.ndarray, distances: np.ndarray, typical: float, path: Path) -> str:
    """Samples over their nearest training images, with distances (pixels in [0, 1])."""
    rows = [("sample", samples), ("nearest in train", nearest)]
    title = f"samples, their nearest training images and the distance (median of real test images: {typical:.1f})"
    return save_rows(rows, path, [f"{distance:.1f}" for distance in distances], title)


def print_ddpm(result: dict) -> None:
    sizes = result["frechet_sizes"]
    print(f"parameters {result['parameters']:,}; the judge's test accuracy {result['judge_test_accuracy']:.2%}")
    print(f"Frechet distances: {sizes['samples']:,} samples against {sizes['reference']:,} real test images")
    if sizes["samples"] < 1000:
        print("  (few samples raise them: compare within this table only)")
    width = max(20, *(len(s["name"]) for s in result["settings"]))
    head = "agree   worst   Frechet  div.feat  div.pix  frame ink  dark 10%  exact 0  veil 1-8  nearest  min"
    print(f"{'':{width}}  {head}")
    rows = [("real training images", result["real_train"]), ("GMM on PCA-10", result["gmm"])]
    for name, row in rows + [(s["name"], s) for s in result["settings"]]:
        agree, spread, black = row["agreement"], row["diversity"], row["background"]
        line = (
            f"{name:{width}}  {agree['overall']:.3f}   {agree['worst']:.3f}   {row['frechet']:7.3f}  "
            f"{spread['features']:8.3f}  {spread['pixels']:7.3f}  {black['frame_ink']:9.5f}  "
            f"{black['darkest_decile']:8.3f}  {black['black_share']:7.3f}  {black['veil_share']:8.4f}"
        )
        if "nearest" in row:
            line += f"  {row['nearest']['median']:7.2f}  {row['nearest']['smallest']:.2f}"
        print(line)
    typical = result["nearest_of_real_test"]
    print(f"nearest training image of a real test image: median {typical['median']:.2f}", end="")
    print(f", closest hundredth {typical['percentile1']:.2f} (pixels in [0, 1])")
    print("agreement by digit:")
    for s in result["settings"]:
        print(f"  {s['name']:{width}}  {' '.join(format(share, '.2f') for share in s['agreement']['per_class'])}")
    for t in result["timing"]:
        print(f"one sample, {t['steps']:4d} steps, guidance {t['guidance']:g}: {t['seconds']:.2f} s")


# --------------------------------------------------------------------------- command line


def build_parser() -> argparse.ArgumentParser:
    parser = cli.one_line_errors(
        argparse.ArgumentParser(
            prog="python -m benchmarks.networks",
            description="Measure the two networks that the lab ships.",
            epilog="example: python -m benchmarks.networks ddpm --steps 50 --guidance 0 0.5 1 --per_class 20",
        )
    )
    networks = parser.add_subparsers(dest="network", required=True)
    ae = networks.add_parser("ae", help="the AutoEncoder: clusters, reconstructions, speed (about two minutes)")
    ae.add_argument("--ae", default=None, metavar="ID_OR_FOLDER", help="Hub id or folder (default: the shipped one)")
    ddpm = networks.add_parser("ddpm", help="the diffusion model: agreement, Frechet distance, diversity, speed")
    ddpm.add_argument(
        "--ddpm", default=None, metavar="ID_OR_FOLDER", help="Hub id or folder (default: the shipped one)"
    )
    ddpm.add_argument(
        "--guidance",
        type=float,
        nargs="+",
        default=list(dict.fromkeys([0.0, DEFAULT_GUIDANCE])),
        help="weights of classifier-free guidance to measure (default: 0 and the lab's own)",
    )
    ddpm.add_argument(
        "--interval",
        type=float,
        nargs=2,
        action="append",
        metavar=("LOW", "HIGH"),
        help="part of the process in which guidance acts, 0 the clean end, 1 the noise; may be repeated "
        "(default: the lab's own)",
    )
    ddpm.add_argument("--per_class", type=int, default=100, help="samples of each digit (default: %(default)s)")
    ddpm.add_argument(
        "--steps",
        type=int,
        nargs="+",
        default=[DDPM_STEPS, 50],
        help="steps to measure; 1000 is ancestral, fewer is DDIM (default: 1000 50)",
    )
    ddpm.add_argument("--batch", type=int, default=200, help="samples drawn at a time (default: %(default)s)")
    ddpm.add_argument("--seed", type=int, default=0, help="of the samples (default: %(default)s)")
    for network in (ae, ddpm):
        cli.one_line_errors(network)  # a subparser does not take this over from its parent
        network.add_argument(
            "--timing_repeats", type=int, default=3, help="timed runs; 0 leaves timing out (default: %(default)s)"
        )
        network.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures here as well")
        network.add_argument(
            "--pictures", type=Path, default=None, metavar="DIR", help="where pictures go (default: cache/networks)"
        )
    return parser


def ddpm_settings(steps: list[int], guidances: list[float], intervals: list[tuple[float, float]]) -> list[Setting]:
    """All combinations, each once; without guidance the interval means nothing, and none given means the lab's own.

    Raises:
        LabError: a value is out of range.
    """
    for count in steps:
        if not 1 <= count <= DDPM_STEPS:
            raise LabError(f"--steps must be between 1 and {DDPM_STEPS}, got {count}")
    for weight in guidances:
        if not (math.isfinite(weight) and weight >= 0):
            raise LabError(f"--guidance must be 0 or more, got {weight:g}")
    for low, high in intervals:
        if not 0 <= low < high <= 1:
            raise LabError(f"--interval must be two rising numbers between 0 and 1, got {low:g} {high:g}")
    return list(
        dict.fromkeys(
            Setting(count, weight, tuple(interval) if weight else (0.0, 1.0))
            for count in steps
            for weight in guidances
            for interval in intervals or [guidance_interval(count)]
        )
    )


def _prepared(dataset: str) -> tuple[Split, Split]:
    """Training and test split, fetched first where they are missing."""
    prepare.ensure(dataset)
    return data.load_split("train", dataset), data.load_split("test", dataset)


def run_ae(args) -> dict:
    ae = load_ae(args.ae)
    train, test = _prepared("mnist")
    return measure_ae(ae, train, test, _prepared("digits"), args.pictures, args.timing_repeats) | {
        "source": network_source(AE_NETWORK, args.ae)
    }


def run_ddpm(args) -> dict:
    settings = ddpm_settings(args.steps, args.guidance, [tuple(interval) for interval in args.interval or []])
    if args.per_class < 2:
        raise LabError(f"--per_class must be at least 2 (diversity takes pairs), got {args.per_class}")
    if args.batch < 1:
        raise LabError(f"--batch must be at least 1, got {args.batch}")
    net = load_ddpm(args.ddpm)
    train, test = _prepared("mnist")
    smallest = int(np.bincount(train[1]).min())
    if args.per_class > smallest:
        raise LabError(f"--per_class must be at most {smallest}, the images of the rarest digit")
    judge = load_judge()
    samples = N_CLASSES * args.per_class
    minutes = estimate_seconds(net, settings, samples, args.batch) / 60
    print(f"drawing {samples:,} samples in each of {len(settings)} settings: about {minutes:.1f} minutes", flush=True)
    return measure_ddpm(
        net,
        Reference(judge, train, test),
        settings,
        per_class=args.per_class,
        batch=args.batch,
        seed=args.seed,
        timing_repeats=args.timing_repeats,
        pictures=args.pictures,
    ) | {"source": network_source(DDPM_NETWORK, args.ddpm)}


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.timing_repeats < 0:
        raise LabError(f"--timing_repeats must be 0 or more, got {args.timing_repeats}")
    if args.json is not None and not args.json.expanduser().resolve().parent.is_dir():
        raise LabError(f"--json: there is no folder {args.json.expanduser().resolve().parent}; make it first")
    args.pictures = (args.pictures or files.cache_dir() / "networks").expanduser().resolve()
    args.pictures.mkdir(parents=True, exist_ok=True)
    result = run_ae(args) if args.network == "ae" else run_ddpm(args)
    if args.json is not None:  # first of all: a closed pipe must not cost an hour's figures
        files.write_text(args.json.expanduser().resolve(), json.dumps(result, indent=1) + "\n")
    (print_ae if args.network == "ae" else print_ddpm)(result)
    load = result["machine"]["load_before"]
    if load is not None and load > 0.5 and args.timing_repeats:
        print(f"the machine was busy when this began (load {load}): the timings are too long")
    print(f"pictures in {args.pictures}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
