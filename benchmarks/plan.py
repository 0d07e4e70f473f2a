"""What a case takes and yields: one ``Plan`` in, ``Row`` after ``Row`` out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hi_mnist.data import load_split


@dataclass
class Row:
    """One line of the results.

    Args:
        what, peer: names; ``peer`` is empty if there is nothing to compare with.
        ours, theirs: median seconds.
        target: the promised ratio to the peer's time; None for no promise.
        note: evidence that both did the same work, and what a reader must know.
        saved: ``theirs`` was measured once, not in this run.
    """

    what: str
    peer: str
    ours: float
    theirs: float | None = None
    target: float | None = None
    note: str = ""
    saved: bool = False


@dataclass
class Plan:
    """Sizes and repetitions of the measurements.

    Args:
        dataset: prepared.
        quick: small sizes, one repetition: shows that everything runs, but the figures mean little.
        before: a checkout of version 0.1, the peer of some cases; None leaves it out.
    """

    dataset: str
    quick: bool = False
    before: Path | None = None

    def rounds(self, count: int) -> int:
        return 1 if self.quick else count

    def images(self) -> np.ndarray:
        """60,000 training images, or 2,000, repeated if there are fewer (the stand-in): uint8 (N, 1, 28, 28)."""
        images, _ = load_split("train", self.dataset)
        return np.resize(images, (2_000 if self.quick else 60_000, *images.shape[1:]))
