"""The pictures to be clustered: a file of one's own, or two kinds of real pictures mixed, tinted and seeded.

Images are uint8 (N, 32, 32, 3) of 0..255.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

from hi_mnist import data, files, text
from hi_mnist.cli import LabError
from hi_mnist.scatter import PALETTE
from labs import shared
from labs.image_clustering.settings import CLASSES

SIZE = 32
N_SHOWN = 10  # images in reconstructions.png
BOX = 20  # pixels that the longer side of what a default picture shows takes, whatever its kind
KNOWN = 5  # images at the front whose label is known: all of kind 0
DARKEST = 0.1  # a tint leaves each colour between this share and all of its light


def load_images(path: str) -> np.ndarray:
    """The images of a file. Raises LabError: it is not uint8 (N, 32, 32, 3), or holds too few of them, or one only."""
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise LabError(f"--images: there is no file {file}; name a .npy file, or make one by --convert FOLDER")
    try:
        with file.open("rb") as opened:
            images = np.lib.format.read_array(opened, allow_pickle=False)
    except Exception as error:  # whatever a file that is no array makes of NumPy's reader
        cause = text.one_line(error, 120)
        remedy = "for text, np.save(FILE, np.loadtxt(TEXT, np.uint8).reshape(-1, 32, 32, 3)); for pictures, --convert"
        raise LabError(f"--images: {file} is not a .npy file of numbers ({cause}); {remedy}") from None
    if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE, 3):
        remedies = {
            (3, SIZE, SIZE): "put the colours last: np.save(FILE, images.transpose(0, 2, 3, 1))",
            (SIZE, SIZE, 3): "bring its numbers to 0..255, then np.save(FILE, np.rint(images).astype(np.uint8))",
            (SIZE * SIZE * 3,): "np.save(FILE, images.reshape(-1, 32, 32, 3))",
        }
        remedy = remedies.get(images.shape[1:], "--convert makes such a file from a folder of pictures")
        told = f"{images.dtype} {images.shape}, not uint8 (N, {SIZE}, {SIZE}, 3); {remedy}"
        raise LabError(f"--images: {file} holds {told}")
    if len(images) < 100:
        raise LabError(f"--images: {file} holds {len(images)} images; at least 100 are needed")
    if (images == images[0]).all():
        raise LabError(f"--images: {file} holds one picture {len(images)} times; give pictures of two kinds")
    return images


def convert(folder: str, file: Path) -> int:
    """Make a file of all pictures in a folder, in the order of their names, each its middle square: how many there are.

    Raises LabError where the folder holds no pictures, or one that cannot be read.
    """
    place, images = Path(folder).expanduser(), []
    suffixes = Image.registered_extensions()
    for path in sorted(path for path in place.iterdir() if path.suffix.lower() in suffixes and path.name[0] != "."):
        try:
            with Image.open(path) as picture:
                square = ImageOps.fit(ImageOps.exif_transpose(picture).convert("RGB"), (SIZE, SIZE))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            cause = text.one_line(error, 120)
            raise LabError(f"--convert: {path} cannot be read ({cause}); take it out of the folder") from None
        images.append(np.asarray(square))
    if not images:
        raise LabError(f"--convert: {place} holds no pictures, such as .png or .jpg files; name another folder")
    with files.atomic_path(file) as partial, partial.open("wb") as opened:
        np.save(opened, np.array(images))
    return len(images)


def two_kinds(datasets: list[str], count: int, seed: int, classes: str = "all") -> tuple[np.ndarray, np.ndarray]:
    """Half handwritten digits (kind 0), half clothing or photographs (1), in random order, the first five digits.

    Each picture is brought to one size and gets a tint of its own, drawn alike for both kinds.

    Args:
        datasets: prepared ones, ``["mnist", "fashion_mnist"]``, or ``["digits"]`` beside pieces of photographs.
        count: N, rounded down to an even number; at most twice the number of digits there are.
        classes: which digits and garments, a key of ``CLASSES``; of the photographs, one goes with each half.

    Returns:
        images, uint8 (N, 32, 32, 3); kinds, int64 (N,), for scoring only.
    """
    rng = np.random.default_rng(seed)
    splits = [data.load_split("train", name) for name in datasets]
    kept = [images[np.isin(labels, CLASSES[classes])] for images, labels in splits]
    half = min(count // 2, *map(len, kept))
    first, *second = (images[rng.choice(len(images), half, replace=False), 0] for images in kept)
    second = second[0] if second else photograph_pieces(half, rng, {"low": [0], "high": [1]}.get(classes, [0, 1]))
    kinds = rng.permutation(np.repeat([0, 1], half))
    wrong = np.flatnonzero(kinds[:KNOWN])  # the next digits change places with them
    kinds[KNOWN + np.flatnonzero(kinds[KNOWN:] == 0)[: len(wrong)]] = 1
    kinds[wrong] = 0
    grey = np.empty((2 * half, SIZE, SIZE), np.uint8)
    grey[kinds == 0], grey[kinds == 1] = ([boxed(picture) for picture in pictures] for pictures in (first, second))
    tints = rng.uniform(DARKEST, 1, (len(grey), 1, 1, 3))
    return np.rint(grey[..., None] * tints).astype(np.uint8), kinds


def boxed(picture: np.ndarray) -> np.ndarray:
    """What a grey picture (H, W) shows, its longer side ``BOX`` pixels, in the middle of black: uint8 (32, 32)."""
    image = Image.fromarray(picture)
    image = image.crop(image.getbbox() or (0, 0, *image.size))
    sides = [max(1, round(BOX * side / max(image.size))) for side in image.size]
    canvas = Image.new("L", (SIZE, SIZE))
    canvas.paste(image.resize(sides, Image.Resampling.BOX), tuple((SIZE - side) // 2 for side in sides))
    return np.array(canvas)


def photograph_pieces(count: int, rng: np.random.Generator, which: list[int]) -> np.ndarray:
    """Square pieces of those of the two photographs that come with scikit-learn, grey: uint8 (count, 28, 28)."""
    every = load_sample_images().images
    photographs, pieces = [Image.fromarray(every[i]).convert("L") for i in which], []
    for _ in range(count):
        photograph = photographs[rng.integers(len(photographs))]
        side = int(rng.integers(28, 160))
        left, top = (int(rng.integers(0, length - side)) for length in photograph.size)
        piece = photograph.crop((left, top, left + side, top + side)).resize((28, 28), Image.Resampling.BOX)
        pieces.append(np.asarray(piece))
    return np.array(pieces)


def plot_clusters(images: np.ndarray, labels: np.ndarray, seed: int) -> Figure:
    """Forty pictures of each cluster, drawn at random."""
    rng = np.random.default_rng(seed)
    figure, axes = shared.panels(2, 9.6, 2.7)
    for k, ax in enumerate(axes):
        members = np.flatnonzero(labels == k)
        chosen, sheet = rng.permutation(members)[:40], np.zeros((40, SIZE, SIZE, 3), np.uint8)
        sheet[: len(chosen)] = images[chosen]
        ax.imshow(sheet.reshape(4, 10, SIZE, SIZE, 3).swapaxes(1, 2).reshape(4 * SIZE, 10 * SIZE, 3))
        ax.set_title(f"label {k}: {len(members):,} images", fontsize=10)
        ax.set_axis_off()
    return figure


def plot_reconstructions(images: np.ndarray, made: dict[str, np.ndarray], errors: Iterable[float] = ()) -> Figure:
    """The first ten images, uint8 (N, 32, 32, 3), above what autoencoders made of them, with the L1 error of each."""
    top = [f"L1 {error:.3f}" for error in list(errors)[:N_SHOWN]]
    return shared.picture_grid([rows[:N_SHOWN] for rows in (images, *made.values())], ["images", *made], top)


def plot_plane(points: np.ndarray, labels: np.ndarray) -> Figure:
    """The first two dimensions of what was clustered, (N, d), in two colours."""
    figure, (ax,) = shared.panels(1, 6.2, 5)
    for k, colour in enumerate(PALETTE[:2]):
        ax.scatter(*points[labels == k, :2].T, s=5, linewidths=0, alpha=0.6, color=colour, label=f"label {k}")
    ax.legend(markerscale=3, frameon=False)
    ax.set(xticks=[], yticks=[], title="first two dimensions after the second reduction")
    return figure
