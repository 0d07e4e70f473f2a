"""The model cards: what was measured, between two marks in a network's README.md, and pictures of the errors."""

import hashlib
import math
from pathlib import Path
from statistics import median

import numpy as np

from hi_mnist import files
from hi_mnist.cli import LabError
from hi_mnist.data import N_CLASSES, DataSet
from hi_mnist.networks import FILES
from hi_mnist.text import markdown_table
from labs.shared import picture_grid, save_figure

START, END = "<!-- measured -->", "<!-- end of what was measured -->"
SHOWN = 60  # pictures of errors
AE_ROWS = {  # figure of ``quality.measure_ae``: its name in the card, and its format
    "accuracy": ("accuracy on the test images", ".4f"),
    "nmi": ("normalised mutual information", ".3f"),
    "ari": ("adjusted Rand index", ".3f"),
    "lowest": ("accuracy by the worst of five mixtures", ".4f"),
    "neighbours": ("accuracy of 15 nearest neighbours in the plane", ".4f"),
    "mse": ("reconstruction, mean squared error of a pixel in [0, 1]", ".4f"),
    "own": ("the offline stand-in's 360 test images, own mixture, accuracy", ".3f"),
    "foreign": ("all 1,797 images of the stand-in, MNIST's mixture, accuracy", ".3f"),
    "likeness": ("agreement with the other seeds (adjusted Rand index, training images)", ".4f"),
    "minutes": ("minutes of training", ".0f"),
}
DDPM_COLUMNS = {  # figure of ``quality.measure_ddpm``: its name in the card, and its format
    "agreement": ("agreement", ".3f"),
    "worst digit": ("worst digit", ".3f"),
    "frechet": ("Frechet", ".3f"),
    "diversity": ("diversity, features", ".3f"),
    "diversity_pixels": ("diversity, pixels", ".3f"),
    "exactly 0": ("pixels exactly 0", ".3f"),
    "nearest": ("nearest training image", ".2f"),
}


def write(folder: Path, text: str) -> None:
    """Put text, and the weights it is true of, between the marks of a folder's README.md; at its end if it has none.

    Raises LabError if it has one of the marks only.
    """
    path = folder / "README.md"
    card = path.read_text(encoding="utf-8") if path.exists() else ""
    if (START in card) != (END in card):
        raise LabError(f"{path} has only one of the marks {START} and {END}; write the other one, too")
    before, _, rest = card.partition(START)
    after = rest.partition(END)[2]
    digest = hashlib.sha256((folder / FILES[1]).read_bytes()).hexdigest()
    text += f"\n\nMeasured of {FILES[1]} with the SHA-256 `{digest}`."
    files.write_text(path, f"{before}{START}\n{text}\n{END}{after or chr(10)}")


def write_ae(folder: Path, measured: dict[int, dict], chosen: int, mnist: DataSet) -> None:
    """The autoencoder's card: the figures of each seed (``quality.measure_ae``), the errors of the chosen one."""
    seeds = [f"**seed {seed}, shipped**" if seed == chosen else f"seed {seed}" for seed in measured]
    rows = []
    for key, (name, form) in AE_ROWS.items():
        values = [figures[key] for figures in measured.values()]
        rows.append([name, *(format(value, form) for value in (*values, median(values)))])
    ours = measured[chosen]
    lines = [
        markdown_table(["", *seeds, "median"], rows),
        f"{ours['parameters']:,} parameters. PCA to two numbers reconstructs with an error of {ours['pca']:.4f}. "
        f"Largest confusions of the shipped seed: {', '.join(ours['confusions'])}.",
        _errors(folder, mnist.test, mnist.test_labels, ours["errors"], "a 4 in the cluster of the 9s"),
    ]
    write(folder, "\n\n".join(lines))


def write_ddpm(folder: Path, measured: dict, judge_accuracy: float, seed: int, minutes: float) -> None:
    """The diffusion model's card: the figures of each way to draw (``quality.measure_ddpm``), and errors of all."""
    rows = [
        [name, *(format(row[key], form) if key in row else "" for key, (_, form) in DDPM_COLUMNS.items())]
        for name, row in measured["rows"].items()
    ]
    cost = f"{measured['parameters']:,} parameters, trained in {minutes:.0f} minutes with seed {seed}"
    real = measured["nearest training image of real test images"]
    n = measured["samples"]
    error, digit_error = (math.sqrt(0.99 * 0.01 / count) for count in (n, n / N_CLASSES))
    facts = (
        f"{cost}. {n:,} samples in each row, read by a judge of {judge_accuracy:.2%} test accuracy. An agreement of "
        f"0.99 has a standard error of {error:.3f}, that of one digit {digit_error:.3f}. The nearest training image of "
        f"a real test image is {real:.2f} away."
    )
    errors = _errors(folder, *measured["errors"], "asked for as a 4, and read as a 9 by the judge")
    write(
        folder,
        "\n\n".join([markdown_table(["samples", *(name for name, _ in DDPM_COLUMNS.values())], rows), facts, errors]),
    )


def _errors(folder: Path, images: np.ndarray, true: np.ndarray, taken: np.ndarray, said: str) -> str:
    """Draw errors.png, at most ``SHOWN`` images taken for another digit (-1: right), and what the card says of it."""
    wrong = np.flatnonzero(taken >= 0)
    shown = wrong[np.linspace(0, len(wrong) - 1, min(SHOWN, len(wrong))).astype(int)]
    shown = shown[np.lexsort((taken[shown], true[shown]))]
    if not len(shown):
        (folder / "errors.png").unlink(missing_ok=True)
        return "No error was found."
    rows = [images[shown[i : i + 12], 0] / 255 for i in range(0, len(shown), 12)]
    figure = picture_grid(rows)
    for ax, i in zip(figure.axes, shown, strict=False):
        ax.set_title(f"{true[i]} as {taken[i]}", fontsize=8)
    save_figure(figure, folder / "errors.png")
    return f"{len(shown)} of {len(wrong):,} errors in {len(taken):,} images (4 as 9: {said}):\n\n![errors](errors.png)"
