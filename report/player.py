"""How EM found the clusters: the likelihood's curve, and a player that moves the mixture over the images.

Texts and places are made here; the script in the template player.html.j2 only shows them.
"""

import base64
import secrets

import numpy as np

from hi_mnist import runs, scatter, trace
from hi_mnist.cli import LabError
from hi_mnist.runs import SavedRun
from report import pages

WIDTH = 1000  # of the plane, in the units of its drawing
RADIUS = 1.5  # of the ellipses, in standard deviations: two thirds of a Gaussian in two dimensions
CURVE = (14, 506, 52, 208)  # left, right, top and bottom of the curve in its drawing of 520 x 262


def section(run: SavedRun) -> dict | None:
    """What the page shows of a run's training; None without a valid trace.csv.

    ``film`` is the player's, None without a trace.safetensors; ``damage`` says why there is none.
    """
    values, found, damage = runs.read_trace(run.path), None, ""
    if values is None:
        return None
    if (run.path / trace.FILE).is_file():  # runs of earlier years have none
        try:
            found = trace.read(run, values)
        except LabError as error:
            damage = pages.shown(error, 500)
    return {
        "first": f"{values[0]:.4f}",
        "last": f"{values[-1]:.4f}",
        "n": len(values),
        "rows": [(i, f"{value:.4f}") for i, value in enumerate(values[: pages.MOST_ROWS], start=1)],
        "fall": runs.fall(values),
        "curve": curve(values).tolist(),
        "film": found and film(found, values),
        "damage": damage,
    }


def curve(values: np.ndarray) -> np.ndarray:
    """Where likelihoods, float (n,), lie in the curve's drawing: float (n + 1, 2), the start as high as the first."""
    left, right, top, bottom = CURVE
    height = (values - values.min()) / max(np.ptp(values), 1e-9) * (bottom - top)
    return np.column_stack(
        [np.linspace(left, right, len(values) + 1), bottom - height[[0, *range(len(values))]]]
    ).round(1)


def film(found: dict[str, np.ndarray], values: np.ndarray) -> dict:
    """What the player needs: of ``trace.read`` and the likelihoods float (n,)."""
    points, mixtures, height = layout(found)
    binary = {"points": points, "mixtures": mixtures, "clusters": found["clusters"]}
    data = {name: base64.b64encode(array.tobytes()).decode("ascii") for name, array in binary.items()}
    data |= {"marks": curve(values)[found["iteration"]].tolist(), "captions": captions(found, values), "radius": RADIUS}
    return {
        "height": height,
        "colours": scatter.cluster_colours(mixtures.shape[1]),
        "moved": np.count_nonzero(found["clusters"][0] != found["clusters"][-1]),
        "images": len(points),
        "nonce": secrets.token_hex(16),  # the page runs this one script and no other
        "data": data,
    }


def layout(found: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, int]:
    """Points and mixtures in the units of the drawing, y down: the points fill its width or its height.

    Returns:
        points float32 (n, 2); mixtures float32 (T, K, 6) of mean x and y, variance of x, covariance, variance of y, and
        weight; the drawing's height.
    """
    points = found["points"].astype(np.float64)
    middle, (wide, tall) = (points.min(axis=0) + points.max(axis=0)) / 2, np.maximum(np.ptp(points, axis=0), 1e-9)
    height = round(WIDTH * float(np.clip(tall / wide, 0.6, 1)))
    scale, centre = 0.95 * min(WIDTH / wide, height / tall) * np.array([1, -1]), (WIDTH / 2, height / 2)
    points, means = ((spots - middle) * scale + centre for spots in (points, found["means"]))
    covs = (found["covs"] * np.outer(scale, scale))[..., [0, 0, 1], [0, 1, 1]]
    mixtures = np.concatenate([means, covs, found["pi"][..., None]], axis=-1)
    return points.astype(np.float32), mixtures.astype(np.float32), height


def captions(found: dict[str, np.ndarray], values: np.ndarray) -> list[str]:
    """What happened up to each state, in a sentence or two."""
    iteration, clusters, n = found["iteration"].tolist(), found["clusters"], len(values)
    told = [f"Start: k-means has made {found['pi'].shape[1]} clusters, and each ellipse is fitted to one."]
    for before, i, old, new in zip(iteration, iteration[1:], clusters, clusters[1:], strict=False):
        since = f" since iteration {before}" if i - before > 1 else ""
        gain = f" ({values[i - 1] - values[before - 1]:+.4f})" if before else ""
        moved = f"{np.count_nonzero(old != new):,} of {len(new):,} images changed cluster{since}"
        told.append(f"Iteration {i} of {n}: {moved}. Mean log-likelihood {values[i - 1]:.4f}{gain}.")
    return told
