"""The settings of a run, apart from what computes with them: ``--help`` and a mistyped flag need no torch."""

import dataclasses
from dataclasses import dataclass

from hi_mnist.cli import LabError
from hi_mnist.data import N_PIXELS
from hi_mnist.runs import TrainConfig
from labs import shared

LOSSES = ("nn-mse", "nn-bce")
OPTIMIZERS = ("adam", "sgd")
CODES = ("sigmoid", "linear")


@dataclass(frozen=True)
class Settings:
    """What decides a run's numbers, saved as ``config.yaml``. Defaults live here and nowhere else.

    Attributes:
        do_train_rbm: pretrain by RBMs; an autoencoder without pretraining is trained in any case.
        max_epoch: epochs of each RBM and of each fine-tuning.
        max_epoch_rbm: epochs of each RBM where they are to be others; None takes ``max_epoch``.
        batch_size: images in a batch.
        lr_rbm: learning rate of the RBMs.
        lr_ae: largest learning rate of fine-tuning; it rises over the first steps and falls to 0 along a cosine.
        k: Gibbs steps of contrastive divergence.
        momentum: of the RBMs.
        weight_decay_rbm: of the RBMs' weights.
        weight_decay: of fine-tuning's optimiser.
        loss_fn: ``nn-mse`` or ``nn-bce`` (the paper's cross-entropy).
        optimizer: of fine-tuning, ``adam`` or ``sgd`` (momentum 0.9).
        code: ``sigmoid`` (the assignment's code layer) or ``linear`` (the paper's).
        layers: widths from the pixels to the code.
        seed: of everything random.
        dataset: ``mnist``, ``fashion_mnist`` or ``digits``.
    """

    do_train_rbm: bool = False
    max_epoch: int = 10
    max_epoch_rbm: int | None = None
    batch_size: int = 256
    lr_rbm: float = 0.1
    lr_ae: float = 3e-3
    k: int = 2
    momentum: float = 0.9
    weight_decay_rbm: float = 2e-4
    weight_decay: float = 0.0
    loss_fn: str = "nn-mse"
    optimizer: str = "adam"
    code: str = "sigmoid"
    layers: tuple[int, ...] = (784, 2000, 1000, 500, 30)
    seed: int = TrainConfig.seed
    dataset: str = "mnist"

    def validate(self) -> "Settings":
        """Raises LabError that names the flag, its value and what is allowed."""
        limits = {"max_epoch": (1, 10**6), "batch_size": (1, 10**6), "k": (1, 10**4), "seed": (0, 2**32 - 1)}
        limits |= {} if self.max_epoch_rbm is None else {"max_epoch_rbm": (1, 10**6)}
        for flag, (low, high) in limits.items():
            shared.check_range(f"--{flag}", getattr(self, flag), low, high)
        for flag in ("lr_rbm", "lr_ae"):
            value = getattr(self, flag)
            if not 0 < value <= 100:  # NaN, too, is refused
                raise LabError(f"--{flag} must be above 0 and at most 100, got {value:g}")
        for flag in ("momentum", "weight_decay", "weight_decay_rbm"):
            value = getattr(self, flag)
            if not 0 <= value < 1:
                raise LabError(f"--{flag} must be at least 0 and below 1, got {value:g}")
        if len(self.layers) < 2 or self.layers[0] != N_PIXELS or not 1 <= min(self.layers) <= max(self.layers) <= 10**5:
            raise LabError(
                f"--layers must begin with {N_PIXELS} and go on with widths of 1 to 100,000, as in "
                f"784-2000-1000-500-30, got {'-'.join(map(str, self.layers))}"
            )
        return self

    @property
    def epochs_rbm(self) -> int:
        return self.max_epoch_rbm or self.max_epoch

    @property
    def linear_code(self) -> bool:
        return self.code == "linear"

    def as_dict(self) -> dict:
        """The settings as plain YAML holds them."""
        return dataclasses.asdict(self) | {"layers": list(self.layers)}
