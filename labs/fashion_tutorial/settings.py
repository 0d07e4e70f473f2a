"""The settings of a run, apart from what computes with them: ``--help`` and a mistyped flag need no torch."""

from dataclasses import dataclass

from hi_mnist.settings import setting
from labs import shared


@dataclass(frozen=True)
class Settings(shared.Settings):
    """The tutorial's own numbers."""

    epochs: int = setting(5, "passes over the images", low=1, high=1000)
    batch_size: int = setting(64, "images a step", low=1, high=60_000)
    learning_rate: float = setting(1e-3, "of Adam", low=1e-7, high=10)
    hidden_dim: int = setting(128, "units of a hidden layer", low=1, high=4096)
    latent_dim: int = setting(10, "dimensions of the code", low=2, high=784)
