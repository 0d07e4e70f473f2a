"""Training a run with the student's submission.py, and saving it."""

import csv
import dataclasses
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from hi_mnist import data, files, networks, runs
from hi_mnist.cli import LabError
from hi_mnist.runs import TrainConfig


def set_seed(seed: int) -> None:
    """Seed all global generators; code with a generator or ``random_state`` of its own gets the seed passed."""
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@dataclasses.dataclass
class TrainResult:
    """The trained models, and how many seconds the two parts took."""

    gmm: Any  # submission.GMM
    pca: Any  # submission.PCA, or None in AE runs
    embed_seconds: float
    fit_seconds: float


def train(config: TrainConfig, images: np.ndarray) -> TrainResult:
    """Embed and fit.

    Args:
        config: the settings.
        images: uint8 (N, 1, 28, 28), 0..255.

    Raises:
        LabError: the settings do not fit the data, or a covariance became singular.
    """
    config.validate(n_samples=len(images))
    try:
        import submission  # only here: nothing else runs the student's code in this process
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""  # for bytes that are not text Python names none
        where = f"{Path(error.filename or 'submission.py').name}{line}"
        raise LabError(f"{where}: {error.msg}; fix that line or the one before, and save the file as UTF-8") from None
    start = time.monotonic()
    pca = None
    if config.use_pca:
        pca = submission.PCA(config.embedding_dim)
        pca.fit(data.flatten(images))
        codes = pca.transform(data.flatten(images))
    else:
        codes = networks.ae_encode(networks.load_ae(config.ae), images)
    embedded = time.monotonic()
    gmm = submission.GMM(config.n_components, codes.shape[1])
    try:
        gmm.fit(codes, max_iter=config.max_iter, seed=config.seed)
    except np.linalg.LinAlgError as error:
        raise LabError(
            f"the mixture cannot be fitted ({error}): a covariance is singular; check the M-step of submission.py, "
            "or take fewer --n_components or a smaller --embedding_dim"
        ) from None
    if not all(np.isfinite(array).all() for array in (gmm.means, gmm.covs, gmm.pi, *gmm.log_likelihoods)):
        raise LabError(
            f"the mixture holds NaN or infinity after {len(gmm.log_likelihoods)} iterations, so nothing was saved; "
            "check the E-step and the M-step of submission.py"
        )
    return TrainResult(gmm, pca, embedded - start, time.monotonic() - embedded)


def save_run(path: Path, config: TrainConfig, result: TrainResult) -> None:
    """Write the run's folder, whole or not at all.

    Raises:
        LabError: the parameters are not a valid mixture or PCA of such data: later steps would refuse to read them.
    """
    with files.new_folder(path) as folder:
        result.gmm.save_pretrained(folder / "gmm")
        if result.pca is not None:
            result.pca.save_pretrained(folder / "pca")
        config.save(folder / "config.yaml")
        with (folder / "trace.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["iteration", "mean_log_likelihood"])
            writer.writerows(enumerate(result.gmm.log_likelihoods, start=1))
        try:
            runs.load_run(folder)
        except LabError as error:
            cause = str(error).replace(f"{folder}{os.sep}", "").partition(";")[0]
            raise LabError(f"nothing was saved: {cause}; check tasks 1.2 and 2.1 of submission.py") from None
