"""Pictures of digits: by the student's sampler in the box, by a run's saved parameters, and by the diffusion model."""

from collections.abc import Callable

import numpy as np
from PIL import Image

import sandbox
from grading import checks
from grading.questions.sampling import wrong_file
from hi_mnist import files
from hi_mnist.cli import LabError
from hi_mnist.data import IMAGE_SHAPE
from hi_mnist.files import Arrays
from hi_mnist.runs import SavedRun
from report import stations

SIXES = ("gmm_sample.png", "ddpm_sample.png")


def draw_by_student(run: SavedRun, k: int, n: int, source: bytes, seed: int | None = None) -> np.ndarray:
    """n pictures of a PCA run's component k by the submission's ``sample_from_gmm``: uint8 (n, 28, 28).

    A seed makes the draws repeatable.

    Raises:
        LabError: the sampler fails, or its pictures are not 28 x 28 pixels of 8-bit grey.
    """
    inputs = {name: getattr(run, name) for name in ("means", "covs", "pi", "components", "mean")}
    outcome = sandbox.run("draw", source, inputs, settings={"label": k, "seed": seed, "n": n})
    if outcome.status == "raised":
        raise LabError(checks.explain_error(outcome.error)[0].splitlines()[0])
    if outcome.status != "done":
        raise LabError(f"submission.py: {outcome.cause}")
    if "images" not in outcome.arrays:
        raise LabError(wrong_file(outcome.arrays.get("form", np.zeros(1)))[0])
    images = outcome.arrays["images"]
    if images.shape != (n, 28, 28) or images.dtype != np.uint8:
        raise LabError("submission.py: the sampler left no valid pictures")
    return images


def draw_from_mixture(run: SavedRun, components: np.ndarray, rng: np.random.Generator, ae) -> np.ndarray:
    """Draw an image from each of the named components, int (n,), of a run: uint8 (n, 1, 28, 28).

    ``ae``, a loaded AutoEncoder, decodes the draws of an AE run.
    """
    codes = np.empty((len(components), run.means.shape[1]))
    for k in np.unique(components):
        chosen = components == k
        codes[chosen] = rng.multivariate_normal(run.means[k], run.covs[k], chosen.sum(), method="cholesky")
    if run.components is not None:
        pixels = codes @ run.components + run.mean
    else:
        import torch

        device = next(ae.parameters()).device
        with torch.inference_mode():
            pixels = ae.decoder(torch.as_tensor(codes, dtype=torch.float32, device=device)).cpu().numpy() * 255
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8).reshape(-1, *IMAGE_SHAPE)


def draw_sixes(run: SavedRun, k: int, source: bytes, drawn: Callable[[], Arrays], seed: int | None = None) -> None:
    """Write a six by the student's sampler and one by the diffusion model into a PCA run's folder: both or neither.

    ``drawn`` comes from ``stations.diffusing``; what else the page shows of both generators is kept. A seed makes the
    student's draws repeatable.

    Raises:
        LabError: one of them cannot be drawn.
    """
    try:
        six, *more = draw_by_student(run, k, 1 + stations.MORE, source, seed)
    except LabError as error:
        remedy = "fix task 5.1 of submission.py; the scores are in grade.json"
        raise LabError(f"no sixes were drawn, {error}; {remedy}") from None
    pictures = drawn()
    with files.scratch(".partial-", run.path) as folder:
        for name, image in zip(SIXES, (six, pictures["six"]), strict=True):
            Image.fromarray(image).save(folder / name)
        for name in SIXES:
            files.move(folder / name, run.path / name)
    stations.kept(run, k, pictures | {"gmm": np.array(more)})
