"""Cases that call functions in this process: EM, PCA, encoding, drawing. Each takes a ``Plan`` and yields rows.

Symbols: N samples, d embedding dimensions, K = 10 components. Images are uint8 (N, 1, 28, 28), 0 the background.
"""

import functools
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from unittest import mock

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import submission
from benchmarks import peers, timing
from benchmarks.results import Row
from benchmarks.timing import Plan
from hi_mnist import networks
from hi_mnist.data import flatten

K = 10
ITERATIONS = 12  # of EM; the lab's fit takes as many


def our_pca(rows: np.ndarray, d: int) -> submission.PCA:
    pca = submission.PCA(d)
    pca.fit(rows)
    return pca


def codes_of(images: np.ndarray, d: int) -> np.ndarray:
    """PCA codes float64 (N, d); repeated images are spread apart so that no component collapses."""
    rows = flatten(images)
    return our_pca(rows, d).transform(rows) + np.random.default_rng(0).normal(size=(len(rows), d))


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
            mixture.m_step(X, mixture.e_step(X))
        return mixture

    return job


SIDES = {"ours": our_fit, "sklearn": sklearn_fit, "textbook": textbook_fit}


def em(plan: Plan) -> Iterator[Row]:
    """An EM iteration on the lab's own codes, timed as a share of a fit."""
    for d, target in ((10, 5.0), (20, 4.0), (50, 3.0)):
        X = codes_of(plan.images(), d)
        jobs = {side: fit(X, ITERATIONS) for side, fit in SIDES.items()}
        times = timing.alternate(jobs, plan.rounds(4))
        ours, theirs = jobs["ours"](), jobs["sklearn"]()
        pairs = (ours.means, theirs.means_), (ours.covs, theirs.covariances_), (ours.pi, theirs.weights_)
        apart = max(np.abs(one - other).max() / np.abs(other).max() for one, other in pairs)
        note = f"parameters {apart:.0e} apart after {ITERATIONS} iterations"
        what, own = f"EM iteration, N = {len(X):,}, d = {d}", times["ours"] / ITERATIONS
        yield Row(what, "scikit-learn GaussianMixture", own, times["sklearn"] / ITERATIONS, target, note)
        yield Row(what, "textbook's loops", own, times["textbook"] / ITERATIONS, 1.0)


# Fit ten components to uint8 rows (N, 784), including copies: -> (10, 784).
PCA_SIDES = {
    "ours": lambda rows: our_pca(rows, 10).components,
    "scikit-learn PCA, float64": lambda rows: PCA(10).fit(rows.astype(np.float64)).components_,
    "scikit-learn PCA, float32": lambda rows: PCA(10).fit(rows.astype(np.float32)).components_,
}


def pca(plan: Plan) -> Iterator[Row]:
    """PCA.fit from uint8 pixels."""
    rows = flatten(plan.images())
    jobs = {side: functools.partial(fit, rows) for side, fit in PCA_SIDES.items()}
    times = timing.alternate(jobs, plan.rounds(7))
    ours, what = jobs["ours"](), f"PCA.fit, {len(rows):,} x 784 pixels of uint8, d = 10"
    for peer, target in zip(list(jobs)[1:], (2.4, 1.3), strict=True):
        theirs = jobs[peer]()
        note = f"projectors {np.abs(ours.T @ ours - theirs.T @ theirs).max():.0e} apart"
        yield Row(what, peer, times["ours"], times[peer], target, note)


def ae(plan: Plan) -> Iterator[Row]:
    """Encoding of the training images."""
    images, ours, theirs = plan.images(), networks.load_ae(), peers.original_ae()
    sample = images[: 50 if plan.quick else 2_000]
    one_by_one = functools.partial(peers.encode_one_by_one, theirs, sample)
    jobs = {"ours": lambda: networks.ae_encode(ours, images), "theirs": one_by_one}
    times = timing.alternate(jobs, plan.rounds(3), warm_up=False)
    what, scaled = f"AutoEncoder, {len(images):,} images encoded", times["theirs"] * len(images) / len(sample)
    peer = f"the original's AE ({peers.size(theirs)}), one by one"
    note = f"the peer, untrained, on {len(sample):,} images, scaled up"
    yield Row(what, peer, times["ours"], scaled, 100.0, note)


def ddpm(plan: Plan) -> Iterator[Row]:
    """Samples of the diffusion model; ``staff.pretrain`` measures their quality."""
    ours, theirs = networks.load_ddpm(), peers.DiffusersSampler()
    steps = 20 if plan.quick else 1000
    few = min(steps, 50)
    alone, guided = f"one digit, {steps:,} steps, no guidance", f"one digit, {steps:,} steps, guided"
    ddim = f"one digit, {few} DDIM steps, guided"
    jobs = {
        "theirs": lambda: theirs.draw(6, steps),
        alone: lambda: networks.draw_digits(ours, [6], steps=steps, guidance=0.0),
        guided: lambda: networks.draw_digits(ours, [6], steps=steps),
        ddim: lambda: networks.draw_digits(ours, [6], steps=few),
    }
    times = timing.alternate(jobs, plan.rounds(3), warm_up=False)
    peer = f"diffusers UNet2DModel ({peers.size(theirs.unet)}, untrained), {steps:,} steps"
    for what, target in ((alone, 4.0), (guided, None), (ddim, 60.0)):
        yield Row(what, peer, times[what], times["theirs"], target)
