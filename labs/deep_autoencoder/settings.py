"""The settings of a run, apart from what computes with them: ``--help`` and a mistyped flag need no torch."""

import argparse
import re
from dataclasses import dataclass

from hi_mnist.data import DATASETS, N_PIXELS
from hi_mnist.settings import setting
from labs import shared

LAB = "deep_autoencoder"


def widths(value: str | list) -> tuple[int, ...]:
    """The widths of the layers in ``784-2000-1000-500-30``, or in a list of numbers."""
    try:
        text = value if isinstance(value, str) else "-".join(map(str, value))
        layers = tuple(int(width) for width in text.split("-"))
    except (TypeError, ValueError):
        layers = ()
    if len(layers) < 2 or layers[0] != N_PIXELS or not 1 <= min(layers) <= max(layers) <= 10**5:
        wanted = f"layers must begin with {N_PIXELS} and go on with widths of 1 to 100,000, as in 784-2000-1000-500-30"
        raise argparse.ArgumentTypeError(f"{wanted}, got {str(value)[:60]!r}")
    return layers


def file_name(value: str) -> str:
    """A text that can be part of a file's name."""
    if not re.fullmatch(r"[\w.-]{1,64}", str(value), re.ASCII):
        raise argparse.ArgumentTypeError(f"it must be 1 to 64 letters, digits, '.', - and _, got {str(value)[:70]!r}")
    return str(value)


@dataclass(frozen=True)
class Settings(shared.Settings):
    """What decides a run's numbers."""

    do_train_rbm: bool = setting(False, "pretrain by RBMs; left out, only the autoencoder without them is trained")
    without_scratch: bool = setting(False, "leave out the autoencoders without pretraining")
    paper: bool = setting(False, "the paper's network and figure, logistic PCA and a network of today beside it")
    max_epoch: int = setting(10, "epochs of each RBM and of each fine-tuning", low=1, high=10**6)
    max_epoch_rbm: int | None = setting(None, "epochs of each RBM (default: max_epoch)", low=1, high=10**6)
    batch_size: int = setting(256, "images in a batch", low=1, high=10**6)
    lr_rbm: float = setting(0.1, "learning rate of the RBMs", above=0, high=100)
    lr_ae: float = setting(3e-3, "largest learning rate of fine-tuning, which rises and falls", above=0, high=100)
    k: int = setting(2, "Gibbs steps of contrastive divergence", low=1, high=10**4)
    momentum: float = setting(0.9, "momentum of the RBMs", low=0, below=1)
    weight_decay_rbm: float = setting(2e-4, "weight decay of the RBMs", low=0, below=1)
    weight_decay: float = setting(0.0, "weight decay of fine-tuning", low=0, below=1)
    loss_fn: str = setting("nn-mse", "loss of fine-tuning; nn-bce is the paper's", choices=("nn-mse", "nn-bce"))
    optimizer: str = setting("adam", "of fine-tuning; sgd has a momentum of 0.9", choices=("adam", "sgd"))
    code: str = setting("sigmoid", "code layer: the assignment's, or the paper's linear", choices=("sigmoid", "linear"))
    layers: tuple[int, ...] = setting(
        (784, 2000, 1000, 500, 30),
        "widths from the pixels to the code (default: 784-2000-1000-500-30)",
        metavar="784-...",
        parse=widths,
    )
    dataset: str | None = setting(None, "None is still to be chosen", choices=DATASETS, flag=False)


# What replaces the defaults with --paper, and on the stand-in, whose images are few.
PAPER = {
    "do_train_rbm": True, "layers": (784, 1000, 500, 250, 30), "code": "linear", "loss_fn": "nn-bce", "k": 1,
    "max_epoch": 30, "max_epoch_rbm": 10, "batch_size": 128, "lr_ae": 1e-3,
}  # fmt: skip
STAND_IN = {"layers": (784, 400, 100, 8), "batch_size": 20, "max_epoch": 30}


@dataclass(frozen=True)
class Config(Settings):
    """What ``config.yaml`` holds: the settings, and remarks that have no influence on the training."""

    lab: str = setting(LAB, "which lab the run is of", choices=[LAB], flag=False)
    bonus: bool = setting(False, "work on ColoredMNIST, too")
    severity: int = setting(1, "of ColoredMNIST; the higher, the more colour tells", choices=range(1, 6))
    student_id: str = setting("STUDENT_ID", "names the CSV file", parse=file_name)
    notes: str = setting("", "a remark, kept in config.yaml (default: none)")


@dataclass(frozen=True)
class Options(Config):
    """What the command line may hold besides, and no file keeps."""

    num_workers: int = setting(0, "processes that fetch batches", low=0, high=64)
    gpu: int | None = setting(None, "number of the CUDA device (default: the first, if any)", low=0, metavar="I")
    time_str: str | None = setting(
        None, f"the run's folder is results/{LAB}-NAME (default: the time)", metavar="NAME", parse=file_name
    )
