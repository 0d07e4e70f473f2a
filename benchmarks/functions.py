"""Cases that call functions in this process: EM, PCA, encoding, drawing. Each takes a ``Plan`` and yields rows.

Symbols: N samples, d embedding dimensions, K = 10 components. Images are uint8 (N, 1, 28, 28), 0 the background.
"""

import warnings
from collections.abc import Callable, Iterator
from statistics import median
from types import SimpleNamespace
from unittest import mock

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import submission
from benchmarks import peers, timing
from benchmarks.plan import Plan, Row
from hi_mnist import networks
from hi_mnist.data import flatten

K = 10
ITERATIONS = 12  # of EM; the lab's fit takes as many
FEW = 5  # for curves with many points

# --------------------------------------------------------------------------- expectation maximisation


def codes_of(images: np.ndarray, d: int) -> np.ndarray:
    """PCA codes float64 (N, d); repeated images are spread apart so that no component collapses."""
    rows = flatten(images)
    pca = submission.PCA(d)
    pca.fit(rows)
    return pca.transform(rows) + np.random.default_rng(0).normal(size=(len(rows), d))


def blobs(n: int, d: int) -> np.ndarray:
    """Samples of a mixture of K unit Gaussians: float64 (n, d)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    X += 4 / np.sqrt(d) * rng.normal(size=(K, d))[rng.integers(K, size=n)]
    return X


def slices(X: np.ndarray) -> np.ndarray:
    """The partition that all sides start from: K slices of equal size along the first coordinate, int64 (N,)."""
    return X[:, 0].argsort().argsort() * K // len(X)


def our_fit(X: np.ndarray, iterations: int) -> Callable[[], submission.GMM]:
    """``GMM.fit`` without its k-means."""
    gmm, labels = submission.GMM(K, X.shape[1]), slices(X)

    def job():
        known = SimpleNamespace(fit=lambda X: SimpleNamespace(labels_=labels))
        with mock.patch("sklearn.cluster.KMeans", lambda *_, **__: known):
            gmm.fit(X, max_iter=iterations, tol=0.0)
        return gmm

    return job


def started(X: np.ndarray) -> submission.GMM:
    """The mixture after the M-step on ``slices``."""
    gmm = submission.GMM(K, X.shape[1])
    gmm._m_step(X, np.eye(K)[slices(X)])
    return gmm


def sklearn_fit(X: np.ndarray, iterations: int) -> Callable[[], GaussianMixture]:
    """scikit-learn's ``fit``; given all parameters, it starts from them without k-means."""
    start = started(X)
    given = {"weights_init": start.pi, "means_init": start.means, "precisions_init": np.linalg.inv(start.covs)}
    mixture = GaussianMixture(K, tol=0.0, reg_covar=1e-6, max_iter=iterations, **given)

    def job():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return mixture.fit(X)

    return job


def textbook_fit(X: np.ndarray, iterations: int) -> Callable[[], peers.TextbookGMM]:
    start = started(X)

    def job():
        mixture = peers.TextbookGMM(start.means, start.covs, start.pi)
        for _ in range(iterations):
            gamma, _ = mixture.e_step(X)
            mixture.m_step(X, gamma)
        return mixture

    return job


SIDES = {"ours": our_fit, "sklearn": sklearn_fit, "textbook": textbook_fit}
EM_PEERS = {"sklearn": "scikit-learn GaussianMixture", "textbook": "textbook's loops"}


def em_memory(side: str, n: int, d: int) -> Callable:
    """For ``timing.peak_memory``: one side's iteration on samples of a mixture."""
    return SIDES[side](blobs(n, d), 1)


def em(plan: Plan) -> Iterator[Row]:
    """An EM iteration on the lab's own codes."""
    for d, target in ((10, 5.0), (20, 4.0), (50, 3.0)):
        X = codes_of(plan.images(), d)
        yield from em_rows(X, f"EM iteration, N = {len(X):,}, d = {d}", plan.rounds(4), ITERATIONS, target, True)


def em_growth(plan: Plan) -> Iterator[Row]:
    """How an iteration's time grows with the number of samples and dimensions; memory at the largest size."""
    most = plan.size if plan.quick else 10**6
    sizes = [(n, 10) for n in (1_000, 10_000, 100_000, 1_000_000) if n <= most]
    sizes += [(plan.size, d) for d in ((2, 20) if plan.quick else (2, 5, 10, 20, 50, 100, 200))]
    for n, d in sizes:
        rounds = plan.rounds(3 if n < plan.size else 1)
        yield from em_rows(blobs(n, d), f"EM iteration, N = {n:,}, d = {d}, blobs", rounds, FEW)
    what = f"EM iteration, N = {most:,}, d = 50, blobs"
    (row,) = em_rows(blobs(most, 50), what, 1, FEW, with_memory=True, sides=("sklearn",))
    row.note += f"; memory beside the data's {8 * most * 50 / 2**20:,.0f} MiB"
    yield row


def em_rows(
    X: np.ndarray,
    what: str,
    rounds: int,
    iterations: int,
    target: float | None = None,
    with_memory: bool = False,
    sides: tuple[str, ...] = tuple(EM_PEERS),
) -> Iterator[Row]:
    """The time of one iteration on X (N, d), as a share of a fit of ``iterations``, beside each of ``sides``."""
    fitted = {}

    def keeping(side):
        fit = SIDES[side](X, iterations)
        return lambda: fitted.update({side: fit()})

    jobs = {side: keeping(side) for side in ("ours", *sides)}
    times = timing.alternate(jobs, rounds, warm_up=len(X) < 10**6)
    ours, theirs = fitted["ours"], fitted["sklearn"]
    pairs = (ours.means, theirs.means_), (ours.covs, theirs.covariances_), (ours.pi, theirs.weights_)
    apart = max(np.abs(one - other).max() / np.abs(other).max() for one, other in pairs)
    memory = {side: timing.peak_memory(em_memory, side, *X.shape) for side in jobs} if with_memory else {}
    for side in sides:
        yield Row(
            what,
            EM_PEERS[side],
            median(times["ours"]) / iterations,
            median(times[side]) / iterations,
            target if side == "sklearn" else 1.0,
            memory.get("ours"),
            memory.get(side),
            note=f"parameters {apart:.0e} apart after {iterations} iterations" if side == "sklearn" else "",
        )


# --------------------------------------------------------------------------- PCA


def pca_job(side: str, rows: np.ndarray) -> Callable[[], np.ndarray]:
    """Fit ten components to uint8 rows (N, 784), including copies: -> (10, 784)."""

    def ours():
        pca = submission.PCA(10)
        pca.fit(rows)
        return pca.components

    return {
        "ours": ours,
        "float64": lambda: PCA(10).fit(rows.astype(np.float64)).components_,
        "float32": lambda: PCA(10).fit(rows.astype(np.float32)).components_,
        "textbook": lambda: peers.textbook_pca(rows, 10),
    }[side]


def pca_memory(side: str, n: int) -> Callable:
    """For ``timing.peak_memory``: the fit on n x 784 random bytes."""
    return pca_job(side, np.random.default_rng(0).integers(256, size=(n, 784), dtype=np.uint8))


def pca(plan: Plan) -> Iterator[Row]:
    """PCA.fit from uint8 pixels."""
    rows = flatten(plan.images())
    sides = {
        "float64": ("scikit-learn PCA, float64", 2.4),
        "float32": ("scikit-learn PCA, float32", 1.3),
        "textbook": ("textbook", None),
    }
    jobs = {side: pca_job(side, rows) for side in ("ours", *sides)}
    times = timing.alternate(jobs, plan.rounds(7))
    ours, memory = jobs["ours"](), timing.peak_memory(pca_memory, "ours", len(rows))
    for side, (peer, target) in sides.items():
        theirs = jobs[side]()
        yield Row(
            f"PCA.fit, {len(rows):,} x 784 pixels of uint8, d = 10",
            peer,
            median(times["ours"]),
            median(times[side]),
            target,
            memory,
            timing.peak_memory(pca_memory, side, len(rows)),
            note=f"projectors {np.abs(ours.T @ ours - theirs.T @ theirs).max():.0e} apart",
        )


# --------------------------------------------------------------------------- networks


def ae(plan: Plan) -> Iterator[Row]:
    """Encoding of the training images."""
    images, ours, theirs = plan.images(), networks.load_ae(), peers.original_ae()
    sample = images[: 50 if plan.quick else 2_000]
    jobs = {
        "ours": lambda: networks.ae_encode(ours, images),
        "theirs": lambda: peers.encode_one_by_one(theirs, sample),
    }
    times = timing.alternate(jobs, plan.rounds(3), warm_up=False)
    size = sum(p.numel() for p in theirs.parameters()) / 1e6
    yield Row(
        f"AutoEncoder, {len(images):,} images encoded",
        f"the original's AE ({size:.1f} M), one by one",
        median(times["ours"]),
        median(times["theirs"]) * len(images) / len(sample),
        100.0,
        note=f"the peer, untrained, on {len(sample):,} images, scaled up",
    )


def ddpm(plan: Plan) -> Iterator[Row]:
    """Samples of the diffusion model; ``benchmarks.quality`` measures their quality."""
    ours, theirs = networks.load_ddpm(), peers.DiffusersSampler()
    steps = 20 if plan.quick else 1000
    few, many = min(steps, 50), list(range(10)) * (1 if plan.quick else 10)
    alone, guided = f"one digit, {steps:,} steps, no guidance", f"one digit, {steps:,} steps, guided"
    ddim, batch = f"one digit, {few} DDIM steps, guided", f"{len(many)} digits at once, {few} DDIM steps, guided"
    jobs = {
        "theirs": lambda: theirs.draw(6, steps),
        alone: lambda: networks.draw_digits(ours, [6], steps=steps, guidance=0.0),
        guided: lambda: networks.draw_digits(ours, [6], steps=steps),
        ddim: lambda: networks.draw_digits(ours, [6], steps=few),
        batch: lambda: networks.draw_digits(ours, many, steps=few),
    }
    times = {name: median(seconds) for name, seconds in timing.alternate(jobs, plan.rounds(3), warm_up=False).items()}
    peer = f"diffusers UNet2DModel ({theirs.parameters() / 1e6:.1f} M, untrained), {steps:,} steps"
    for what, target in ((alone, 4.0), (guided, None), (ddim, 60.0)):
        yield Row(what, peer, times[what], times["theirs"], target)
    yield Row(batch, "", times[batch])
