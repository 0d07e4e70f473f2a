"""t-SNE of many points: openTSNE's optimizer on neighbours and a repulsion that take a fraction of openTSNE's time.

openTSNE's repulsion needs nine FFTs in float64 per step, and loops on one core around them. Here the points' density is
convolved with the kernel of the force itself: two inverse FFTs suffice, and nothing cancels, so that float32 is enough.

Symbols: N points in the plane; a grid of m x m nodes at the distance h.
"""

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import numpy as np
import scipy  # its fft, slow to import, is loaded when it is used
from threadpoolctl import threadpool_limits
from tqdm import tqdm

MANY = 10_000  # fewer points take seconds, and openTSNE has another method for them
SPACING = 0.4  # of the nodes, in the plane's unit: as exact as openTSNE's defaults, 2 % of the mean force
FEWEST, MOST = 64, 2000  # nodes along a plane: a small one is drawn finer, a huge one coarser
# Steps with early exaggeration and without: more momentum needs fewer. Of the usual neighbours, three times the
# perplexity, the last third weighs little.
SETTINGS = {"neighbours": 60, "steps": (100, 250), "momentum": 0.9, "spacing": SPACING}
ROWS, GROUPS = 128, 1000  # of a block of distances; of its columns
CORES = os.cpu_count() or 1


def settings(N: int) -> dict:
    """How the t-SNE of N points departs from openTSNE's: not at all if they are few, or openTSNE is another version.

    ``fit`` calls an inner function of openTSNE 1.0.
    """
    return SETTINGS if N > MANY and version("openTSNE").startswith("1.0.") else {}


def fit(codes: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """openTSNE's t-SNE, on exact neighbours, of codes float32 (N, d) around 0: float64 (N, 2)."""
    from openTSNE import TSNE, _tsne
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors
    from sklearn.neighbors import NearestNeighbors

    quick = settings(len(codes))
    early, late = quick.get("steps", (250, 500))
    # With few points, threads mostly wait for each other, which is slower on busy cores.
    n_jobs, every = CORES if len(codes) > MANY else 1, 10
    options = {"early_exaggeration_iter": early, "n_iter": late, "n_jobs": n_jobs, "random_state": seed}

    def gradient(embedding, P, dof, **_):
        """What openTSNE asks for: the error, which nobody reads here, and the gradient, float64 (N, 2)."""
        plane = np.asarray(embedding)
        force, total = repulsion(plane)
        force /= -total
        _tsne.estimate_positive_gradient_nn(P.indices, P.indptr, P.data, plane, plane, force, dof, num_threads=CORES)
        return 0.0, force

    with tqdm(total=early + late, desc="t-SNE: searching neighbours", unit="step", leave=False) as bar:
        bar.refresh()
        if quick:
            neighbours, distances = nearest(codes, quick["neighbours"])
            options |= {"negative_gradient_method": gradient, "final_momentum": quick["momentum"]}
        else:
            search = NearestNeighbors(n_neighbors=min(3 * perplexity, len(codes) - 1), algorithm="brute", n_jobs=n_jobs)
            distances, neighbours = search.fit(codes).kneighbors()
        known = PrecomputedNeighbors(neighbours, distances.astype(np.float64))
        affinities = PerplexityBasedNN(perplexity=perplexity, knn_index=known, n_jobs=n_jobs)

        def show(iteration, error, embedding):
            bar.set_description("t-SNE", refresh=False)
            bar.update(every)

        optimizer = TSNE(callbacks=show, callbacks_every_iters=every, **options)
        return np.asarray(optimizer.fit(codes.astype(np.float64), affinities=affinities))


def nearest(X: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other rows of each row of X, float32 (N, d) around 0: int (N, k), and distances, float64 (N, k).

    Exact up to float32's rounding, k <= GROUPS < N. The k-th largest of the maxima of many groups is a bound that k
    entries of a row reach, and few more: only these are sorted.
    """
    columns, halves, N = np.ascontiguousarray(X.T), np.einsum("ij,ij->i", X, X) / 2, len(X)

    def search(start: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.arange(start, min(start + ROWS, N))
        closeness = X[rows] @ columns
        closeness -= halves
        closeness[rows - start, rows] = -np.inf
        maxima = closeness[:, : N // GROUPS * GROUPS].reshape(len(rows), -1, GROUPS).max(axis=1)
        bounds = np.partition(maxima, -k, axis=1)[:, -k, None]
        reached = np.flatnonzero(closeness >= bounds)
        row, column = np.divmod(reached, N)
        order = np.lexsort((-closeness.ravel()[reached], row))
        found = column[order][np.searchsorted(row, rows - start)[:, None] + np.arange(k)]
        apart = X[rows, None] - X[found]
        return found, np.sqrt(np.einsum("ijk,ijk->ij", apart, apart, dtype=np.float64))

    with threadpool_limits(1), ThreadPoolExecutor(CORES) as pool:
        blocks = list(pool.map(search, range(0, N, ROWS)))
    return tuple(np.concatenate(parts) for parts in zip(*blocks, strict=True))


@functools.lru_cache(1)
def _spectra(m: int, h: float) -> list[np.ndarray]:
    """FFTs, float32 (2m, m + 1), of the kernels 1 / (1 + r^2), x / (1 + r^2)^2 and y / (1 + r^2)^2.

    The first is even and its FFT real; the others are odd and theirs imaginary, given without i.
    """
    x = np.fft.fftfreq(2 * m, 1 / (2 * m * h))
    x[m] = 0  # no two nodes are as far apart
    even = 1 / (1 + x[:, None] ** 2 + x**2)
    odd = even**2 * x
    even, *odd = (scipy.fft.rfft2(kernel.astype(np.float32), workers=CORES) for kernel in (even, odd, odd.T))
    return [even.real.copy(), *(part.imag.copy() for part in odd)]


def repulsion(plane: np.ndarray) -> tuple[np.ndarray, float]:
    """The force sum_j (y_i - y_j) / (1 + r_ij^2)^2, float64 (N, 2) as the plane, and the sum of all 1 / (1 + r_ij^2).

    Lagrange's quadratic polynomials spread each point over 3 x 3 nodes, and read its force from them.
    Source: Linderman et al. 2019 (Nature Methods 16); the sum over i != j is taken from the spectrum (Parseval).
    """
    span = np.ptp(plane, axis=0).max()
    h = max(span / MOST, min(SPACING, span / FEWEST), 1e-9)
    # In steps of 32, so that the spectra can be kept for many steps of the optimizer.
    m = 32 * scipy.fft.next_fast_len(int(span / h + 3) // 32 + 1, real=True)
    places = (plane - plane.min(axis=0)) / h + 1
    nodes = np.rint(places).astype(np.intp)
    t = (places - nodes).T.astype(np.float32)
    along = np.stack([t * (t - 1) / 2, 1 - t * t, t * (t + 1) / 2])
    weights = (along[:, None, 1] * along[None, :, 0]).reshape(9, -1)
    around = np.arange(-1, 2)
    where = (around[:, None] * m + around).reshape(9, 1) + nodes @ [1, m]
    density = np.bincount(where.ravel(), weights.ravel(), m * m).reshape(m, m).astype(np.float32)

    # Half of the padded grid is zero before the transforms, and half is not needed after them.
    even, *odd = _spectra(m, h)
    spectrum = scipy.fft.fft(scipy.fft.rfft(density, 2 * m, workers=CORES), 2 * m, axis=0, workers=CORES)
    power = (spectrum.real**2 + spectrum.imag**2) * even
    power[:, 1:m] *= 2  # for the columns that rfft leaves out
    force = np.empty_like(plane)
    for part, kernel in enumerate(odd):
        field = scipy.fft.ifft(spectrum * (1j * kernel), axis=0, workers=CORES)[:m]
        field = scipy.fft.irfft(field, 2 * m, workers=CORES)[:, :m]
        force[:, part] = (field.ravel().take(where) * weights).sum(axis=0)
    return force, float(power.sum(dtype=np.float64)) / (2 * m) ** 2 - len(plane)
