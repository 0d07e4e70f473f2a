"""Show the training images in two dimensions, by PCA, t-SNE and the AutoEncoder.

    python visualization.py                    coloured by the true digit:  true_pca.png, true_tsne.png, true_ae.png
    python visualization.py --cluster_label    coloured by the run's cluster: cluster_pca.png, cluster_tsne.png, ...
    python visualization.py --compare          no pictures but measurements, for question 7: comparison.csv

Both colourings show the same points at the same places, so that they can be compared. With --cluster_label it writes
explore.html as well, in which pointing at a dot shows its digit; and it brings report.html up to date where grade.py
has written one. t-SNE is slow the first time (a minute or two for 60,000 images); what was projected once is kept in
cache/ for every later run on the same data.
"""

import argparse
import functools
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np

import load_resources
import utils

TSNE_SETTINGS = {"perplexity": 30, "pca_dimensions": 50, "neighbours": "exact", "seed": 42}
PROJECTIONS = {"pca": "PCA", "tsne": "t-SNE", "ae": "AutoEncoder"}
# Ten colours that differ in hue and lightness; more clusters take them from a colour wheel.
PALETTE = [
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd",
    "#8c564b", "#f06ec2", "#6b6b6b", "#c3b300", "#17becf",
]  # fmt: skip
AXES = (0.014, 0.02, 0.725, 0.93)  # of a picture: left, bottom, width and height of the plane, the legend is beside it
FASHION_NAMES = [
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
]  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    parser = utils.one_line_errors(
        argparse.ArgumentParser(
            prog="visualization.py",
            allow_abbrev=False,
            description="Plot the training images in two dimensions by PCA, t-SNE and the AutoEncoder.",
            epilog="examples: python visualization.py\n"
            "          python visualization.py --cluster_label --results_path results/d20\n"
            "          python visualization.py --compare",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    parser.add_argument("--results_path", metavar="DIR", help="folder of the run (default: the newest in results/)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--cluster_label", action="store_true", help="colour by cluster; left out, by the true digit")
    what.add_argument(
        "--compare",
        action="store_true",
        help="measure the three projections, and the mixture beside the diffusion model, instead of drawing pictures",
    )
    parser.add_argument("--data_dir", metavar="DIR", help="folder of the IDX files (default: MNIST_DIR, else download)")
    parser.add_argument(
        "--ae",
        metavar="ID_OR_FOLDER",
        help="another AutoEncoder, a Hub id or a folder (default: the run's, else shipped)",
    )
    return parser


# --------------------------------------------------------------------------- projections


def project_pca(images: np.ndarray) -> np.ndarray:
    """scikit-learn's first two principal components of images (N, 1, 28, 28): float64 (N, 2), signs fixed."""
    from sklearn.decomposition import PCA

    pca = PCA(2, svd_solver="covariance_eigh")
    plane = pca.fit_transform(utils.flatten(images).astype(np.float32)).astype(np.float64)
    largest = np.abs(pca.components_).argmax(axis=1)
    return plane * np.sign(pca.components_[[0, 1], largest])


def project_tsne(images: np.ndarray, dataset: str) -> np.ndarray:
    """t-SNE of the first 50 principal components, from the cache where it is there.

    Args:
        images: uint8 (N, 1, 28, 28).
        dataset: the prepared data set they come from; with the images' hash it keys the cache.

    Returns:
        float64 (N, 2). Source: van der Maaten and Hinton 2008; openTSNE: Policar et al. 2024 (JSS 109:3).
    """
    path = _tsne_cache(images, dataset)

    def compute():
        start = time.perf_counter()
        plane = compute_tsne(images)
        utils.write_text(path.with_suffix(".json"), json.dumps({"seconds": time.perf_counter() - start}) + "\n")
        return plane

    return _kept_plane(path, len(images), compute)


def _kept_plane(path: Path, n: int, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """A plane (n, 2) from the cache's file ``path``; where it is not there, or damaged, it is computed and kept."""
    try:
        plane = np.load(path, allow_pickle=False)
        if plane.shape == (n, 2) and np.isfinite(plane).all():
            return plane
    except Exception:  # damaged in whatever way
        pass
    plane = compute()
    with utils.atomic_path(path) as partial:
        np.save(partial, plane)
    return plane


def tsne_seconds(images: np.ndarray, dataset: str) -> float | None:
    """How long the t-SNE that ``project_tsne`` takes from the cache was computed; None where that was not kept."""
    try:
        content = json.loads(_tsne_cache(images, dataset).with_suffix(".json").read_text(encoding="utf-8"))
        seconds = float(content["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return seconds if 0 < seconds < np.inf else None


def _tsne_cache(images: np.ndarray, dataset: str) -> Path:
    return _cache_path("tsne", dataset, utils.data_hash(images), TSNE_SETTINGS, version("openTSNE"))


def _cache_path(method: str, *depends_on) -> Path:
    key = json.dumps(depends_on, sort_keys=True)
    return utils.cache_dir() / f"{method}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"


def compute_tsne(images: np.ndarray) -> np.ndarray:
    """openTSNE on exact neighbours: scikit-learn finds them in a third of the time of openTSNE's approximate search."""
    from openTSNE import TSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors
    from tqdm import tqdm

    rows = utils.flatten(images).astype(np.float32)
    codes = PCA(TSNE_SETTINGS["pca_dimensions"], svd_solver="covariance_eigh").fit_transform(rows)
    # Threads of few points mostly wait for each other: four times slower on two cores that are busy.
    perplexity, n_jobs = TSNE_SETTINGS["perplexity"], -1 if len(images) > 10_000 else 1
    every = 10
    with tqdm(total=750, desc="t-SNE: searching neighbours", unit="step", leave=False) as bar:
        bar.refresh()
        search = NearestNeighbors(n_neighbors=min(3 * perplexity, len(images) - 1), algorithm="brute", n_jobs=n_jobs)
        distances, neighbours = search.fit(codes).kneighbors()
        known = PrecomputedNeighbors(neighbours, distances.astype(np.float64))
        affinities = PerplexityBasedNN(perplexity=perplexity, knn_index=known, n_jobs=n_jobs)

        def show(iteration, error, embedding):
            bar.set_description("t-SNE", refresh=False)
            bar.update(every)

        options = {"n_jobs": n_jobs, "callbacks": show, "callbacks_every_iters": every}
        tsne = TSNE(random_state=TSNE_SETTINGS["seed"], **options)
        with _fft_on_all_cores():
            return np.asarray(tsne.fit(codes.astype(np.float64), affinities=affinities))


@contextmanager
def _fft_on_all_cores() -> Iterator[None]:
    """Put SciPy's FFTs in the place of NumPy's, which are most of openTSNE's time and know one core only."""
    import scipy.fft

    numpys = np.fft.rfft2, np.fft.irfft2
    np.fft.rfft2, np.fft.irfft2 = (functools.partial(fft, workers=-1) for fft in (scipy.fft.rfft2, scipy.fft.irfft2))
    try:
        yield
    finally:
        np.fft.rfft2, np.fft.irfft2 = numpys


def project_ae(images: np.ndarray, ae_source: str | None) -> np.ndarray:
    """The AutoEncoder's plane: float64 (N, 2); an AE of more dimensions is shown by its first two components."""
    codes = utils.ae_encode(utils.load_ae(ae_source), images).astype(np.float64)
    if codes.shape[1] == 2:
        return codes
    if codes.shape[1] == 1:
        return np.column_stack([codes, np.zeros(len(codes))])
    from sklearn.decomposition import PCA

    return PCA(2).fit_transform(codes)


# --------------------------------------------------------------------------- pictures


def colours(count: int) -> list:
    """``count`` colours that can be told apart as well as that number allows."""
    if count <= len(PALETTE):
        return PALETTE[:count]
    from matplotlib import colors

    # Neighbours on the wheel alternate in lightness, which separates about forty.
    return [colors.hsv_to_rgb((i / count, 0.85, 0.85 if i % 2 else 0.55)) for i in range(count)]


def densest_points(plane: np.ndarray, groups: np.ndarray, count: int) -> dict[int, np.ndarray]:
    """Where each group is densest: a better place for its number than the mean, which may lie outside it.

    Args:
        plane: float (N, 2).
        groups: int (N,), 0 to ``count`` - 1.

    Returns:
        group -> float (2,), for the groups that are not empty.
    """
    from scipy.ndimage import gaussian_filter

    low, high = plane.min(axis=0), plane.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    bins = 64
    cells = np.minimum((plane - low) / span * bins, bins - 1).astype(int)
    places = {}
    for group in range(count):
        members = groups == group
        if not members.any():
            continue
        histogram = np.zeros((bins, bins))
        np.add.at(histogram, tuple(cells[members].T), 1)
        peak = np.unravel_index(gaussian_filter(histogram, 3).argmax(), histogram.shape)
        places[group] = low + (np.array(peak) + 0.5) / bins * span
    return places


def spread_labels(places: dict[int, np.ndarray], plane: np.ndarray, gap: float = 0.07) -> dict[int, np.ndarray]:
    """Push numbers apart until no two overlap; ``gap`` is their distance as a share of the picture."""
    low = plane.min(axis=0)
    span = np.maximum(plane.max(axis=0) - low, 1e-12)
    names = list(places)
    spots = np.array([(places[name] - low) / span for name in names])
    for _ in range(1000):
        difference = spots[:, None] - spots[None]
        distance = np.linalg.norm(difference, axis=2) + 2 * gap * np.eye(len(names))
        if distance.min() >= gap:
            break
        # Coinciding numbers have no direction of their own: part them along x by their order.
        direction = np.where(distance[..., None] > 1e-9, difference / np.maximum(distance, 1e-9)[..., None], 0)
        order = np.sign(np.arange(len(names))[:, None] - np.arange(len(names)))
        direction[..., 0] += np.where(distance < 1e-9, order, 0)
        spots = spots + (np.maximum(gap - distance, 0)[..., None] * direction).sum(axis=1) / 2
    return {name: low + spot * span for name, spot in zip(names, spots, strict=True)}


def plot_plane(
    plane: np.ndarray, groups: np.ndarray, names: list[str], path: Path, title: str, legend_title: str
) -> None:
    """Write a scatter picture with one colour a group, a legend with sizes, and each group's number at its centre.

    Args:
        plane: float (N, 2).
        groups: int (N,), 0 to len(names) - 1.
        names: what the groups are called.
        path: of the PNG.
        title: of the picture.
        legend_title: says what the colours are.
    """
    from matplotlib.colors import to_rgba_array
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    palette = colours(len(names))
    figure = Figure(figsize=(10.3, 7.2), dpi=140)
    axes = figure.add_axes(AXES)  # fixed, so that a point lies at the same place in both pictures
    # Drawn in one random order: group by group, the last one would cover the others where they overlap.
    order = np.random.default_rng(0).permutation(len(plane))
    size = float(np.clip(60_000 / len(plane), 1.2, 14))
    shades = to_rgba_array(palette, 0.75)[groups[order]]
    axes.scatter(*plane[order].T, s=size, c=shades, linewidths=0)
    for group, spot in spread_labels(densest_points(plane, groups, len(names)), plane).items():
        # Dark on white with the group's colour around it: readable on every colour below.
        badge = {"boxstyle": "circle,pad=0.22", "facecolor": "white", "edgecolor": palette[group], "linewidth": 2.5}
        axes.text(*spot, str(group), ha="center", va="center", fontsize=15, fontweight="bold", bbox=badge)
    counts = np.bincount(groups, minlength=len(names))
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=8, color=colour, label=f"{name}  ({count:,})")
        for name, colour, count in zip(names, palette, counts, strict=True)
    ]
    axes.legend(
        handles=handles, title=legend_title, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False,
        fontsize=10 if len(names) <= 25 else 6, ncols=1 + (len(names) - 1) // 50,
    )  # fmt: skip
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    with utils.atomic_path(path) as partial:
        figure.savefig(partial)


def make_planes(images: np.ndarray, dataset: str, ae_source: str | None = None) -> dict[str, np.ndarray]:
    """The projections of images (N, 1, 28, 28), each float64 (N, 2), by the names in ``PROJECTIONS``."""
    content, n = utils.data_hash(images), len(images)
    # The AE first: where it cannot be loaded, that is said before the slow t-SNE.
    ae_path = _cache_path("ae", content, utils.network_digest(utils.AE_NETWORK, ae_source), version("torch"))
    ae = _kept_plane(ae_path, n, lambda: project_ae(images, ae_source))
    pca = _kept_plane(_cache_path("pca", content, version("scikit-learn")), n, lambda: project_pca(images))
    return {"pca": pca, "tsne": project_tsne(images, dataset), "ae": ae}


def visualize(
    run: utils.SavedRun,
    cluster_label: bool = False,
    ae_source: str | None = None,
    planes: dict[str, np.ndarray] | None = None,
) -> list[str]:
    """Write the three pictures of a run, whose data set is prepared.

    Args:
        run: the run.
        cluster_label: colour by cluster; else by true label.
        ae_source: another AutoEncoder than the run's own or the shipped one.
        planes: of the training images, where they are at hand; else they are made.

    Returns:
        the names of the files written.
    """
    dataset = run.config.dataset
    images, labels = utils.load_split("train", dataset)
    if planes is None:
        planes = make_planes(images, dataset, ae_source or run.config.ae)
    if cluster_label:
        groups, legend_title = utils.cluster_labels(run, images), "cluster\n(images)"
        names = [str(k) for k in range(run.n_components)]
    else:
        groups, legend_title = labels, "true label\n(images)"
        is_fashion = dataset == "fashion_mnist"
        names = [f"{i}  {FASHION_NAMES[i]}" if is_fashion else str(i) for i in range(utils.N_CLASSES)]
    kind = "cluster" if cluster_label else "true"
    what = "cluster" if cluster_label else "true label"
    written = []
    for name, plane in planes.items():
        file = f"{kind}_{name}.png"
        title = f"{PROJECTIONS[name]} of {len(images):,} training images ({SHORT_NAMES[dataset]}), coloured by {what}"
        plot_plane(plane, groups, names, run.path / file, title, legend_title)
        written.append(file)
    return written


SHORT_NAMES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "digits": "stand-in digits"}


def compare(run: utils.SavedRun, ae_source: str | None) -> int:
    """``--compare``: write comparison.csv and print its two tables."""
    from insight import compare

    path = compare.compare(run, ae_source)
    print(f"\n{compare.console(compare.read(run.path))}\n")
    written = [path.name]
    if (run.path / "grade.json").is_file():
        from insight import report_page

        written.append(report_page.write(run).name)
    print(f"wrote {', '.join(written)} in {run.path}")
    print(f"next: python grade.py --report_draft{utils.run_option(run.path)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    run = utils.load_run(args.results_path, to_write=True)
    load_resources.ensure(run.config.dataset, args.data_dir)
    print(f"run: {run.path}")
    if args.compare:
        return compare(run, args.ae)
    images, _ = utils.load_split("train", run.config.dataset)
    planes = make_planes(images, run.config.dataset, args.ae or run.config.ae)
    written = visualize(run, args.cluster_label, planes=planes)
    if args.cluster_label:
        from insight import explorer

        written.append(explorer.write(run, planes).name)
    if (run.path / "grade.json").is_file():  # the page that grade.py wrote, with these pictures
        from insight import report_page

        written.append(report_page.write(run).name)
    print(f"wrote {', '.join(written)} in {run.path}")
    option = utils.run_option(run.path)
    if args.cluster_label and not run.config.use_pca:
        print(f"next: python grade.py{option}")
    elif args.cluster_label:
        print('next: find the cluster k that lies where the true "6" lies')
        print(f"then: python grade.py --sample_index k{option}")
    else:
        print(f"next: python visualization.py --cluster_label{option}")
    return 0


if __name__ == "__main__":
    sys.exit(utils.run_script(main))
