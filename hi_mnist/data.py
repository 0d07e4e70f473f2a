"""The prepared data sets and the names of their classes.

    >>> images, labels = load_split("train")          # uint8 (N, 1, 28, 28), int64 (N,)

Pixels are 0..255, 0 the background.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hi_mnist.cli import LabError
from hi_mnist.files import lab_home, read_json, read_tensors

DATASETS = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "digits": "the offline stand-in (scikit-learn's handwritten digits)",
}
SHORT_NAMES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "digits": "stand-in digits"}
FASHION_NAMES = [
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
]  # fmt: skip
N_CLASSES = 10
IMAGE_SHAPE = (1, 28, 28)
N_PIXELS = 784


def prepared_dir(dataset: str) -> Path:
    """The folder that holds a prepared data set (offline, ``mnist_encoded`` may hold the stand-in)."""
    offline = lab_home() / "mnist_encoded"
    if dataset == "digits" and read_json(offline / "source.json").get("dataset") == "digits":
        return offline
    return lab_home() / f"{dataset}_encoded"


def read_source(dataset: str) -> dict:
    """What ``load_resources.py`` noted about a prepared data set: ``dataset``, ``source``, ``sha256`` and counts."""
    return read_json(prepared_dir(dataset) / "source.json")


def load_split(split: str, dataset: str = "mnist") -> tuple[np.ndarray, np.ndarray]:
    """Read a prepared data set's ``train`` or ``test``.

    Returns:
        images, uint8 (N, 1, 28, 28), 0 the background and 255 full ink; labels, int64 (N,), 0 to 9.

    Raises:
        LabError: the data set is not prepared, is damaged or has another form.
    """
    folder = prepared_dir(dataset)
    path = folder / f"{split}.safetensors"
    remedy = f"delete the folder {folder} and run: python load_resources.py"
    tensors = read_tensors(path, ("image2D", "label"), remedy)
    images, labels = tensors["image2D"], tensors["label"]
    if images.dtype != np.uint8 or images.shape[1:] != IMAGE_SHAPE or len(images) == 0:
        raise LabError(f"{path}: image2D is {images.dtype} {images.shape}, not uint8 (N, 1, 28, 28); {remedy}")
    if labels.dtype != np.int64 or labels.shape != (len(images),):
        raise LabError(f"{path}: label is {labels.dtype} {labels.shape}, not int64 ({len(images)},); {remedy}")
    if labels.min() < 0 or labels.max() >= N_CLASSES:
        raise LabError(f"{path}: labels run from {labels.min()} to {labels.max()}, not 0 to 9; {remedy}")
    return images, labels


class DataSet(NamedTuple):
    """Both splits of a prepared data set: images uint8 (N, 1, 28, 28), labels int64 (N,)."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def load_data_set(dataset: str) -> DataSet:
    """Read both splits of a prepared data set. Raises the errors of ``load_split``."""
    return DataSet(*load_split("train", dataset), *load_split("test", dataset))


def flatten(images: np.ndarray) -> np.ndarray:
    """Images (N, 1, 28, 28) as rows (N, 784), of the same dtype and, where possible, the same memory."""
    return images.reshape(len(images), -1)


def class_names(dataset: str) -> list[str]:
    """The names of the labels 0 to 9: the number, followed in Fashion-MNIST by the garment."""
    names = FASHION_NAMES if dataset == "fashion_mnist" else [""] * N_CLASSES
    return [f"{i} {name}".strip() for i, name in enumerate(names)]
