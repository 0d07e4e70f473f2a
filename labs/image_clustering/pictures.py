"""The pictures to be clustered: a file of one's own, or two kinds of real pictures mixed, tinted and seeded.

    images, kinds = two_kinds(["mnist", "fashion_mnist"], count=9000, seed=123)
    images = load_images("trainX.npy")

Images are uint8 (N, 32, 32, 3) of 0..255.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_sample_images

from hi_mnist import data, text
from hi_mnist.cli import LabError
from hi_mnist.scatter import colours

SIZE = 32
KNOWN = 5  # images at the front whose label is known: all of kind 0
DARKEST = 0.4  # a tint leaves each colour between this share and all of its light


def load_images(path: str) -> np.ndarray:
    """Read and check a file of images.

    Raises:
        LabError: it cannot be read, or is not uint8 (N, 32, 32, 3), or holds too few images or one only.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise LabError(f"--images: there is no file {file}; name a .npy file")
    try:
        with file.open("rb") as opened:
            images = np.lib.format.read_array(opened, allow_pickle=False)
    except Exception as error:  # whatever a file that is no array makes of NumPy's reader
        cause = text.one_line(error, 120)
        raise LabError(f"--images: {file} is not a .npy file of numbers ({cause}); save it by numpy.save") from None
    if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE, 3):
        raise LabError(
            f"--images: {file} holds {images.dtype} {images.shape}, not uint8 (N, {SIZE}, {SIZE}, 3); convert it"
        )
    if len(images) < 100:
        raise LabError(f"--images: {file} holds {len(images)} images; at least 100 are needed")
    if (images == images[0]).all():
        raise LabError(f"--images: {file} holds one picture {len(images)} times; give pictures of two kinds")
    return images


def two_kinds(datasets: list[str], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Half handwritten digits (kind 0), half pictures of another kind (1), in random order, the first five digits.

    The other kind is clothing. The stand-in has no clothing, so pieces of photographs take its place. Each picture
    gets a tint of its own, drawn alike for both kinds, so that colour tells nothing about the kind.

    Args:
        datasets: prepared ones: ``["mnist", "fashion_mnist"]`` or ``["digits"]``.
        count: N, rounded down to an even number; at most twice the number of digits there are.
        seed: of the choice, the order and the tints.

    Returns:
        images, uint8 (N, 32, 32, 3); kinds, int64 (N,), for scoring only.
    """
    rng = np.random.default_rng(seed)
    digits = data.load_split("train", datasets[0])[0][:, 0]
    half = min(count // 2, len(digits))
    first = digits[rng.choice(len(digits), half, replace=False)]
    if len(datasets) > 1:
        clothing = data.load_split("train", datasets[1])[0][:, 0]
        second = clothing[rng.choice(len(clothing), half, replace=False)]
    else:
        second = photograph_pieces(half, rng)
    kinds = rng.permutation(np.repeat([0, 1], half))
    wrong = np.flatnonzero(kinds[:KNOWN])  # the next digits change places with them
    kinds[KNOWN + np.flatnonzero(kinds[KNOWN:] == 0)[: len(wrong)]] = 1
    kinds[wrong] = 0
    grey = np.empty((2 * half, 28, 28), np.uint8)
    grey[kinds == 0], grey[kinds == 1] = first, second
    grey = np.pad(grey, ((0, 0), (2, 2), (2, 2)))
    return tinted(grey, rng), kinds


def tinted(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each grey picture (N, H, W) in a random colour: uint8 (N, H, W, 3)."""
    tints = rng.uniform(DARKEST, 1, (len(grey), 1, 1, 3))
    return np.rint(grey[..., None] * tints).astype(np.uint8)


def photograph_pieces(count: int, rng: np.random.Generator) -> np.ndarray:
    """Square pieces of the two photographs that come with scikit-learn, grey: uint8 (count, 28, 28)."""
    photographs = [Image.fromarray(photograph).convert("L") for photograph in load_sample_images().images]
    pieces = np.empty((count, 28, 28), np.uint8)
    for i in range(count):
        photograph = photographs[rng.integers(len(photographs))]
        side = int(rng.integers(28, 160))
        left, top = (int(rng.integers(0, length - side)) for length in photograph.size)
        pieces[i] = photograph.crop((left, top, left + side, top + side)).resize((28, 28), Image.Resampling.BOX)
    return pieces


def plot_clusters(images: np.ndarray, labels: np.ndarray, seed: int) -> Figure:
    """Forty pictures of each cluster, drawn at random."""
    rng = np.random.default_rng(seed)
    figure = Figure(figsize=(9.6, 2.7), dpi=100, layout="constrained")
    for k, ax in enumerate(figure.subplots(1, 2)):
        members = np.flatnonzero(labels == k)
        chosen = rng.permutation(members)[:40]
        sheet = np.zeros((40, SIZE, SIZE, 3), np.uint8)
        sheet[: len(chosen)] = images[chosen]
        ax.imshow(sheet.reshape(4, 10, SIZE, SIZE, 3).swapaxes(1, 2).reshape(4 * SIZE, 10 * SIZE, 3))
        ax.set_title(f"label {k}: {len(members):,} images", fontsize=10)
        ax.set_axis_off()
    return figure


def plot_plane(points: np.ndarray, labels: np.ndarray) -> Figure:
    """The first two dimensions of what was clustered, (N, d), in two colours."""
    figure = Figure(figsize=(6.2, 5), dpi=100, layout="constrained")
    ax = figure.subplots()
    for k, colour in enumerate(colours(2)):
        ax.scatter(*points[labels == k, :2].T, s=5, linewidths=0, alpha=0.6, color=colour, label=f"label {k}")
    ax.legend(markerscale=3, frameon=False)
    ax.set(xticks=[], yticks=[], title="first two dimensions after the second reduction")
    return figure
