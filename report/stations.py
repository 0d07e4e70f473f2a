"""How noise becomes a six, and how a point does: what both generators draw for report.html, with the steps to it.

Nothing of this lies in a run's folder but the two sixes: a cache keeps the rest until they are drawn again.
"""

import itertools
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress

import numpy as np
from PIL import Image

from grading.checks import ASKED_DIGIT
from hi_mnist import files, networks
from hi_mnist.cli import LabError
from hi_mnist.files import Arrays
from hi_mnist.networks import DEFAULT_GUIDANCE
from hi_mnist.runs import SavedRun
from report import pages

STATIONS = 12
MORE, MORE_STEPS = 10, 25  # additional draws of each generator
KEPT = {
    "gmm": (MORE, 28, 28),  # more draws of each
    "ddpm": (MORE, 28, 28),
    "ways": (2, None, 2, 28, 28),  # with the guidance asked for and with the other, at each station: x_t and x_0
    "times": (None,),
    "guidance": (2,),
}
# An edited or mistaken picture is off by more than student code that cuts grey levels where ours rounds.
LARGEST_ERROR = 3  # grey levels
BLUE, ORANGE = np.array([0.35, 0.7, 1.0]), np.array([1.0, 0.6, 0.0])


@contextmanager
def diffusing(ddpm, *, steps: int, guidance: float, seed: int | None) -> Iterator[Callable[[], Arrays]]:
    """Let the diffusion model draw a six in threads of its own while the block does other work.

    It draws it a second time from the same noise, without guidance (or, if none was asked for, with the default).
    The block gets a function that waits for the pictures: "six" (28, 28) and all of ``KEPT`` but "gmm". To leave the
    block ends the threads.
    """
    import torch

    import model

    ended, noise = threading.Event(), secrets.randbits(63) if seed is None else seed
    stops = set(np.linspace(0, steps - 1, STATIONS).round().astype(int).tolist())

    def go_on(*_):
        if ended.is_set():
            raise CancelledError

    def way(weight: float, bar: bool) -> tuple[np.ndarray, ...]:
        times, seen, step = [], [], itertools.count()

        def watch(t, x, x0):
            go_on()
            if next(step) in stops:
                times.append(t)
                seen.append(model.to_pixels(torch.cat([x, x0]))[:, 0].cpu().numpy())

        how = {"steps": steps, "guidance": weight, "seed": noise, "watch": watch, "bar": bar}
        return networks.draw_digits(ddpm, [ASKED_DIGIT], **how)[0, 0], np.array(times), np.array(seen)

    # Two threads with a core each do more than one thread with both; other devices take one caller at a time.
    workers = 2 if next(ddpm.parameters()).device.type == "cpu" else 1
    with networks.torch_threads(1), ThreadPoolExecutor(workers) as pool:
        other = 0.0 if guidance else DEFAULT_GUIDANCE
        asked = pool.submit(way, guidance, True)
        how = {"steps": MORE_STEPS, "seed": seed, "watch": go_on, "bar": False}
        more = pool.submit(networks.draw_digits, ddpm, [ASKED_DIGIT] * MORE, **how)
        beside = pool.submit(way, other, False)  # last: the guided way takes as long as both others

        def drawn() -> Arrays:
            six, times, seen = asked.result()
            ways = np.stack([seen, beside.result()[2]])
            found = {"six": six, "ways": ways, "times": times, "ddpm": more.result()[:, 0]}
            return found | {"guidance": np.array([guidance, other])}

        try:
            yield drawn
        finally:
            ended.set()
            pool.shutdown(cancel_futures=True)


def kept(run: SavedRun, k: int, drawn: Arrays | None = None) -> Arrays:
    """The arrays of ``KEPT``, the last ones drawn of this run's component k; ``drawn`` takes their place.

    Raises:
        LabError: there are none.
    """
    key = [files.data_hash(run.means, run.covs, run.pi, run.components, run.mean), k, STATIONS, MORE, MORE_STEPS]
    if drawn:
        files.cache_path("sixes", key).unlink(missing_ok=True)

    def compute() -> Arrays:
        if not drawn:
            raise LabError("grade.py draws these")
        return {name: drawn[name] for name in KEPT}

    pictures = ("gmm", "ddpm", "ways")
    return files.cached("sixes", key, KEPT, compute, lambda found: all(found[p].dtype == np.uint8 for p in pictures))


# --------------------------------------------------------------------------- for the page


def section(run: SavedRun, k: int | None) -> dict:
    """What the page shows of both generators; ``k`` is the component that the sixes were drawn from, None if unknown.

    The sixes in the folder, more draws if they are kept, the way of the diffusion model if it ends in its six, and the
    steps of the mixture if they make its six.
    """
    found = {name: _six(run, name) for name in ("gmm", "ddpm")}
    shown = {name: None if six is None else pages.digit_uri(six) for name, six in found.items()}
    shown |= {"cluster": k, "strips": None, "ways": None, "steps": None, "more_steps": MORE_STEPS}
    if k is None:
        return shown
    with suppress(LabError):
        drawn = kept(run, k)
        shown["strips"] = {name: [pages.digit_uri(image) for image in drawn[name]] for name in ("gmm", "ddpm")}
        if found["ddpm"] is not None and np.array_equal(drawn["ways"][0, -1:, 1], found["ddpm"][None]):
            shown["times"] = drawn["times"].tolist()
            shown["ways"] = [(f"{w:g}", _sprite(way)) for w, way in zip(drawn["guidance"], drawn["ways"], strict=True)]
    if found["gmm"] is not None:
        shown["steps"] = mixture_steps(run, found["gmm"])
    return shown


def _six(run: SavedRun, name: str) -> np.ndarray | None:
    image = pages.read_picture(run.path / f"{name}_sample.png")
    return np.asarray(image.convert("L")) if image is not None and image.size == (28, 28) else None


def _sprite(way: np.ndarray) -> str:
    """Stations (S, 2, 28, 28) side by side, x_t above x_0, each with a transparent edge of a pixel: a data URI."""
    edge = ((0, 0), (0, 0), (1, 1), (1, 1))
    pixels = np.stack([np.pad(way, edge), np.pad(np.full_like(way, 255), edge)], axis=-1)  # grey and opacity
    return pages.data_uri(Image.fromarray(pixels.transpose(1, 2, 0, 3, 4).reshape(60, -1, 2)))


def mixture_steps(run: SavedRun, six: np.ndarray) -> dict | None:
    """How a point of a PCA run becomes this picture (28, 28): the point and four pictures; None if none does.

    The point is what explains the pixels that were not clipped.
    """
    pixels = six.ravel().astype(np.float64)
    free = (pixels > 0) & (pixels < 255)
    code = np.linalg.lstsq(run.components[:, free].T, (pixels - run.mean)[free])[0]
    part = code @ run.components
    whole = run.mean + part
    if np.abs(np.clip(whole, 0, 255) - pixels).max() > LARGEST_ERROR:
        return None
    pictures = {"mean": run.mean, "part": part, "sum": whole, "six": pixels}
    return {"code": [f"{value:.0f}" for value in code]} | {name: _tinted(values) for name, values in pictures.items()}


def _tinted(values: np.ndarray) -> str:
    """Values (784,) as a picture, the ones below 0 in blue and the ones above 255 in orange: a data URI."""
    values = values.reshape(28, 28, 1)
    above = np.clip(2 * (values - 255), 0, 255) * (1 - ORANGE)
    pixels = np.clip(values, 0, 255) + np.clip(-2 * values, 0, 255) * BLUE - above
    return pages.data_uri(Image.fromarray(pixels.round().astype(np.uint8)))
