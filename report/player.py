"""How EM found the clusters: the likelihood's curve, and a player that moves the mixture over the images.

    >>> how = player.section(runs.load_run(None))       # the values of the template player.html.j2

The player's texts and places are made here; its script only shows them.
"""

import base64
import secrets

import numpy as np

from hi_mnist import runs, scatter, trace
from hi_mnist.cli import LabError
from hi_mnist.runs import SavedRun
from report import pages

MOST_ROWS = 200  # of the table of likelihoods
WIDTH = 1000  # of the plane, in the units of its drawing
RADIUS = 1.5  # of the ellipses, in standard deviations: two thirds of a Gaussian in two dimensions
CURVE = (14, 506, 52, 208)  # left, right, top and bottom of the curve in its drawing of 520 x 262


def section(run: SavedRun) -> dict | None:
    """What the page shows of a run's training; None without a valid trace.csv.

    ``film`` is the player's, from ``film``, or None without a trace.safetensors; ``damage``, why there is none.
    """
    values = runs.read_trace(run.path)
    if values is None:
        return None
    found, damage = None, ""
    if (run.path / trace.FILE).is_file():  # runs of earlier years have none
        try:
            found = trace.read(run, values)
        except LabError as error:
            damage = pages.shown(error, 500)
    return {
        "first": f"{values[0]:.4f}",
        "last": f"{values[-1]:.4f}",
        "n": len(values),
        "rows": [(i, f"{value:.4f}") for i, value in enumerate(values[:MOST_ROWS], start=1)],
        "fall": runs.fall(values),
        "curve": curve(values).tolist(),
        "film": film(found, values) if found else None,
        "damage": damage,
    }


def curve(values: np.ndarray) -> np.ndarray:
    """Where the likelihoods float (n,) lie in the curve's drawing: float (n + 1, 2); the k-means start has no value of
    its own and takes the first.
    """
    left, right, top, bottom = CURVE
    low, span = values.min(), max(np.ptp(values), 1e-9)
    x, y = np.linspace(left, right, len(values) + 1), bottom - (values - low) / span * (bottom - top)
    return np.column_stack([x, np.concatenate([y[:1], y])]).round(1)


def film(found: dict[str, np.ndarray], values: np.ndarray) -> dict:
    """What the player needs: of ``trace.read`` and the likelihoods float (n,)."""
    points, mixtures, height = layout(found)
    T, K = found["pi"].shape
    return {
        "height": height,
        "colours": scatter.colours(K),
        "moved": f"{np.count_nonzero(found['clusters'][0] != found['clusters'][-1]):,}",
        "images": f"{len(points):,}",
        "last": T - 1,
        "nonce": secrets.token_hex(16),  # the page runs this one script and no other
        "data": {
            "points": _packed(points),
            "mixtures": _packed(mixtures),
            "clusters": _packed(found["clusters"]),
            "marks": curve(values)[found["iteration"]].tolist(),
            "captions": captions(found, values),
            "radius": RADIUS,
        },
    }


def layout(found: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, int]:
    """Points and mixtures in the units of the drawing, y down: the points fill its width or its height.

    Returns:
        points float32 (n, 2); mixtures float32 (T, K, 6) of mean x and y, variance of x, covariance, variance of y, and
        weight; the drawing's height.
    """
    points = found["points"].astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    wide, tall = np.maximum(high - low, 1e-9)
    height = round(WIDTH * float(np.clip(tall / wide, 0.6, 1)))
    scale = 0.95 * min(WIDTH / wide, height / tall) * np.array([1, -1])
    centre = np.array([WIDTH, height]) / 2

    def placed(spots):
        return (spots - (low + high) / 2) * scale + centre

    covs = found["covs"] * np.outer(scale, scale)
    parts = [placed(found["means"]), covs[..., [0, 0, 1], [0, 1, 1]], found["pi"][..., None]]
    return placed(points).astype(np.float32), np.concatenate(parts, axis=-1).astype(np.float32), height


def captions(found: dict[str, np.ndarray], values: np.ndarray) -> list[str]:
    """What happened up to each state, in a sentence or two."""
    iteration, clusters, n = found["iteration"].tolist(), found["clusters"], len(values)
    told = [f"Start: k-means has made {found['pi'].shape[1]} clusters, and each ellipse is fitted to one."]
    for before, i in zip(iteration, iteration[1:], strict=False):
        at = len(told)
        moved = np.count_nonzero(clusters[at] != clusters[at - 1])
        since = f" since iteration {before}" if i - before > 1 else ""
        gain = f" ({values[i - 1] - values[before - 1]:+.4f})" if before else ""
        told.append(
            f"Iteration {i} of {n}: {moved:,} of {clusters.shape[1]:,} images changed cluster{since}. "
            f"Mean log-likelihood {values[i - 1]:.4f}{gain}."
        )
    return told


def _packed(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
