"""Scatter plots of a plane: one colour per group, a legend with sizes, each group's number where it is densest."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hi_mnist import data, files, runs
from hi_mnist.projections import PROJECTIONS
from hi_mnist.runs import SavedRun

# Of the true labels: ten colours that differ in hue and lightness.
PALETTE = [
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd",
    "#8c564b", "#f06ec2", "#6b6b6b", "#c3b300", "#17becf",
]  # fmt: skip
# Of the clusters: none is a label's colour. The first ten are as far apart as they can be for readers without red or
# without green cones, each further one is as far as it can be from those before it.
CLUSTER_PALETTE = [
    "#787800", "#5a00c3", "#a5a5ff", "#871e0f", "#d2d200", "#1e78ff", "#2d4b69", "#69e1d2", "#d29669", "#d24ba5",
    "#007869", "#ffb496", "#0096d2", "#962d96", "#784bd2", "#d296b4", "#96961e", "#87004b", "#b4003c", "#87d2ff",
    "#c37878", "#87c300", "#8787ff", "#690096", "#b44b78", "#00e1a5", "#00693c", "#b41eb4", "#3c874b", "#96b4e1",
]  # fmt: skip
DPI = 140
PLANE = (20, 50, 1065, 988)  # left, top, right and bottom of the plane in a picture, pixels; the legend is beside it
HEIGHT = 1008


def cluster_colours(count: int) -> list[str]:
    """A colour like "#5a00c3" for each of ``count`` clusters; after thirty they come again."""
    return [CLUSTER_PALETTE[k % len(CLUSTER_PALETTE)] for k in range(count)]


def densest_points(plane: np.ndarray, groups: np.ndarray, count: int) -> dict[int, np.ndarray]:
    """Where each group is densest: a better place for its number than the mean, which may lie outside it.

    Of a plane float (N, 2) and groups int (N,), 0 to ``count`` - 1: group -> float (2,), unless the group is empty.
    """
    from scipy.ndimage import gaussian_filter

    low, high = plane.min(axis=0), plane.max(axis=0)
    sides = np.column_stack([low, np.where(high > low, high, low + 1)])
    places = {}
    for group in range(count):
        members = plane[groups == group]
        if len(members):
            histogram, *edges = np.histogram2d(*members.T, bins=64, range=sides)
            peak = np.unravel_index(gaussian_filter(histogram, 3).argmax(), histogram.shape)
            places[group] = np.array([edge[i : i + 2].mean() for edge, i in zip(edges, peak, strict=True)])
    return places


def spread_labels(places: dict[int, np.ndarray], plane: np.ndarray, gap: float) -> dict[int, np.ndarray]:
    """Push labels apart until no two overlap; ``gap`` is their least distance as a share of the picture."""
    low = plane.min(axis=0)
    span = np.maximum(plane.max(axis=0) - low, 1e-12)
    names = list(places)
    spots = np.array([(places[name] - low) / span for name in names])
    for _ in range(1000):
        difference = spots[:, None] - spots[None]
        distance = np.linalg.norm(difference, axis=2) + 2 * gap * np.eye(len(names))
        if distance.min() >= gap:
            break
        # Labels at the same place have no direction between them: separate them along x by their order.
        direction = np.where(distance[..., None] > 1e-9, difference / np.maximum(distance, 1e-9)[..., None], 0)
        order = np.sign(np.arange(len(names))[:, None] - np.arange(len(names)))
        direction[..., 0] += np.where(distance < 1e-9, order, 0)
        spots = spots + (np.maximum(gap - distance, 0)[..., None] * direction).sum(axis=1) / 2
    return {name: low + spot * span for name, spot in zip(names, spots, strict=True)}


def draw_plane(axes, plane: np.ndarray, groups: np.ndarray, palette: Sequence[str], font: float, gap: float) -> None:
    """Draw ``plot_plane``'s dots and numbers on ``axes``; ``font`` is the numbers' size, points, ``gap`` their gap."""
    from matplotlib.colors import to_rgba_array

    # Draw in one random order: group by group, the last group would cover the others.
    order = np.random.default_rng(0).permutation(len(plane))
    size = float(np.clip(60_000 / len(plane), 1.2, 14)) * (font / 15) ** 2
    axes.scatter(*plane[order].T, s=size, c=to_rgba_array(palette, 0.75)[groups[order]], linewidths=0)
    for group, spot in spread_labels(densest_points(plane, groups, len(palette)), plane, gap).items():
        # Dark on white, with the group's colour around it: readable on every background.
        edge = {"edgecolor": palette[group], "linewidth": font / 6}
        badge = {"boxstyle": "circle,pad=0.22", "facecolor": "white"} | edge
        axes.text(*spot, str(group), ha="center", va="center", fontsize=font, fontweight="bold", bbox=badge)
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")


def plot_plane(
    plane: np.ndarray,
    groups: np.ndarray,
    names: list[str],
    path: Path,
    title: str,
    legend_title: str,
    palette: Sequence[str] = PALETTE,
) -> None:
    """Write a scatter plot with one colour per group, a legend with sizes, and numbers where groups are densest.

    Of a plane float (N, 2) and groups int (N,), which have these names and the colours of the palette.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.transforms import Bbox

    left, top, right, bottom = PLANE
    figure = Figure(figsize=(right / DPI, HEIGHT / DPI), dpi=DPI)
    # Fixed, so that a point is at the same place in both pictures.
    axes = figure.add_axes((left / right, 1 - bottom / HEIGHT, 1 - left / right, (bottom - top) / HEIGHT))
    draw_plane(axes, plane, groups, palette, font=15, gap=0.07)
    counts = np.bincount(groups, minlength=len(names))
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=8, color=colour, label=f"{name}  ({count:,})")
        for name, colour, count in zip(names, palette, counts, strict=False)
    ]
    axes.legend(
        handles=handles, title=legend_title, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False,
        fontsize=10 if len(names) <= 25 else 6, ncols=1 + (len(names) - 1) // 50,
    )  # fmt: skip
    axes.set_title(title)
    used = Bbox([[0, 0], [figure.get_tightbbox().x1 + left / DPI, HEIGHT / DPI]])  # as wide as the legend needs
    with files.atomic_path(path) as partial:
        figure.savefig(partial, bbox_inches=used)


def cut(image):
    """The plane of a picture, a Pillow image of any size, without title and legend; one of no such shape stays."""
    scale = image.height / HEIGHT
    ours = PLANE[2] * scale < image.width < 1.6 * image.height
    return image.crop(tuple(round(edge * scale) for edge in PLANE)) if ours else image


def draw_run(run: SavedRun, planes: dict[str, np.ndarray], by_cluster: bool) -> list[str]:
    """Write the pictures of a run's training images, ``true_*.png`` or ``cluster_*.png``, and return their names.

    The run's data set is prepared; ``planes`` come from ``projections.make_planes``.
    """
    dataset, shown = run.config.dataset, data.SHORT_NAMES[run.config.dataset]
    images, groups = data.load_split("train", dataset)
    kind, what, names, palette = "true", "true label", data.class_names(dataset), PALETTE
    if by_cluster:
        kind, what, names = "cluster", "cluster", [str(k) for k in range(run.n_components)]
        groups, palette = runs.cluster_labels(run, images), cluster_colours(run.n_components)
    written = []
    for name, plane in planes.items():
        title = f"{PROJECTIONS[name]} of {len(images):,} training images ({shown}), coloured by {what}"
        written.append(f"{kind}_{name}.png")
        plot_plane(plane, groups, names, run.path / written[-1], title, f"{what}\n(images)", palette)
    return written
