"""HI MNIST: the one file that you edit and hand in.

    >>> import numpy as np
    >>> from submission import GMM
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> gmm = GMM(n_components=3, data_dim=2)
    >>> gmm.fit(X, seed=0)
    >>> gmm.predict(X).shape
    (500,)

Your code goes between BEGIN_YOUR_CODE and END_YOUR_CODE, four times: 1.1 the E-step, 1.2 the M-step, 2.1 the principal
components, 5.1 sampling. Everything else is given and is restored before grading.

Symbols: N samples, D dimensions of the data (784 pixels for images, the embedding's d for the mixture), K components.
Pixels are 0..255 everywhere, before and after PCA.
"""

import functools
import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import scipy.linalg
from PIL import Image
from safetensors.numpy import load_file, save
from threadpoolctl import ThreadpoolController
from tqdm import tqdm

BLAS = ThreadpoolController()
# Those that this process may use; beyond eight the buffers that each thread holds cost more than it gains.
CORES = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
THREAD_NAME = "in_parallel"
BLOCK_ROWS = 1024
T = TypeVar("T")


def row_blocks(n_rows: int, size: int = BLOCK_ROWS) -> list[slice]:
    """Slices that cover ``n_rows`` rows in blocks of ``size``, small enough to stay in the processor's cache."""
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def in_parallel(work: Callable[[Sequence], T], items: Sequence, n_numbers: int) -> list[T]:
    """Share ``items`` among the processor's cores: ``[work(first part), work(second part), ...]``.

    Threads do, because NumPy lets others run while it computes. Each gets one BLAS thread: products of cache-sized
    blocks are too small to share, and BLAS threads would only wait for each other. Waking threads takes time too, so
    work on few numbers (``n_numbers`` in all) is done by the caller's own.
    """
    cores = max(1, min(CORES, len(items), n_numbers // 300_000))
    if threading.current_thread().name.startswith(THREAD_NAME):  # its caller's caller holds a thread and waits for it
        cores = 1
    if cores == 1:
        return [work(items)]
    bounds = [len(items) * i // cores for i in range(cores + 1)]
    parts = [items[start:stop] for start, stop in zip(bounds[:-1], bounds[1:], strict=True)]
    with BLAS.limit(limits=1, user_api="blas"):
        return list(threads().map(work, parts))


@functools.cache
def threads() -> ThreadPoolExecutor:
    """The threads of ``in_parallel``; they are kept, for starting them takes a tenth of an EM iteration."""
    return ThreadPoolExecutor(CORES, THREAD_NAME)


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=threads.cache_clear)


def log_gaussian(X: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Logarithm of a normal density.

    Args:
        X: float64 (N, D).
        mean: float64 (D,).
        cov: float64 (D, D), symmetric and positive definite.

    Returns:
        float64 (N,), log N(x | mean, cov). No determinant is formed, so nothing overflows at large D.

    Raises:
        np.linalg.LinAlgError: ``cov`` is not positive definite.
    """
    lower = np.linalg.cholesky(cov)
    inverse, _ = scipy.linalg.lapack.dtrtri(lower, lower=1)  # the inverse of a triangular matrix
    white = inverse @ (X - mean).T  # (D, N), standard normal if X is drawn from it
    log_det = 2 * np.log(np.diag(lower)).sum()
    return -0.5 * (np.einsum("dn,dn->n", white, white) + log_det + len(mean) * np.log(2 * np.pi))


class GMM:
    """Gaussian mixture with full covariances, fitted by expectation maximisation.

    Attributes:
        means: float64 (K, D).
        covs: float64 (K, D, D).
        pi: float64 (K,), the mixing weights; they sum to 1.
        log_likelihoods: mean log-likelihood of a sample before each M-step of the last ``fit``, in nats.
        converged: whether the last ``fit`` stopped by ``tol`` (False: by ``max_iter``).
    """

    def __init__(self, n_components: int, data_dim: int):
        self.n_components = n_components
        self.data_dim = data_dim
        self.means = np.zeros((n_components, data_dim))
        self.covs = np.tile(np.eye(data_dim), (n_components, 1, 1))
        self.pi = np.full(n_components, 1 / n_components)
        self.log_likelihoods: list[float] = []
        self.converged = False

    # BEGIN_SOLUTION_ONLY
    def _blocks(self, X: np.ndarray) -> list[slice]:
        """Blocks whose K weighted or whitened copies fit the cache, yet long enough that threads seldom wait."""
        return row_blocks(len(X), max(64, 300_000 // self.means.size))

    def _whitening(self) -> tuple[np.ndarray, np.ndarray]:
        """Inverse Cholesky factors (K, D, D) of the covariances, and the constants (K,) of log pi_k + log N_k."""
        lowers = np.linalg.cholesky(self.covs)
        inverses = np.array([scipy.linalg.lapack.dtrtri(lower, lower=1)[0] for lower in lowers])
        log_dets = 2 * np.log(np.diagonal(lowers, axis1=1, axis2=2)).sum(axis=1)
        with np.errstate(divide="ignore"):  # a weight of zero is log 0 = -inf, and its gamma exactly 0
            log_pi = np.log(self.pi)
        return inverses, log_pi - 0.5 * (log_dets + self.data_dim * np.log(2 * np.pi))

    def _second_moments(self, X: np.ndarray, gamma: np.ndarray, about: np.ndarray) -> np.ndarray:
        """Each component's sum of gamma (x - about)(x - about)^T, (K, D, D); ``about`` is (K, D), or (1, D) for all."""

        def add_up(blocks):
            total = np.zeros((*self.means.shape, X.shape[1]))
            for rows in blocks:
                spread = np.ascontiguousarray(X[rows].T) - about[:, :, None]  # (1 or K, D, B)
                weighted = np.sqrt(gamma[rows].T)[:, None] * spread  # (K, D, B)
                total += weighted @ weighted.transpose(0, 2, 1)
            return total

        return sum(in_parallel(add_up, self._blocks(X), len(X) * self.means.size))

    # END_SOLUTION_ONLY

    def _e_step(self, X: np.ndarray) -> np.ndarray:
        """Task 1.1: the responsibilities for the current parameters.

        Args:
            X: float64 (N, D).

        Returns:
            gamma, float64 (N, K): the probability that sample n belongs to component k; rows sum to 1.
        """
        # BEGIN_YOUR_CODE 1.1 E-step
        inverses, constants = self._whitening()
        K, D = self.means.shape
        inverses *= np.sqrt(0.5)  # the squares of what is whitened are then the exponents
        # One matrix product whitens a block for all components at once, its last row, all ones, subtracts their means.
        offsets = np.einsum("kij,kj->ki", inverses, self.means)
        stacked = np.concatenate([inverses, -offsets[:, :, None]], axis=2).reshape(K * D, D + 1)
        gamma = np.empty((K, len(X)))  # returned transposed: in both steps a component's numbers lie together

        def fill(blocks):
            for rows in blocks:
                block = np.ones((D + 1, rows.stop - rows.start))
                block[:D] = X[rows].T
                white = (stacked @ block).reshape(K, D, -1)
                log_joint = constants[:, None] - np.einsum("kdb,kdb->kb", white, white)  # (K, B)
                # Log domain until the last step: far away all densities underflow, their ratios do not.
                log_joint -= log_joint.max(axis=0)
                joint = np.exp(log_joint, out=log_joint)
                np.divide(joint, joint.sum(axis=0), out=gamma[:, rows])

        in_parallel(fill, self._blocks(X), len(X) * K * D)
        return gamma.T
        # END_YOUR_CODE

    def _m_step(self, X: np.ndarray, gamma: np.ndarray) -> None:
        """Task 1.2: the parameters of largest likelihood for given responsibilities; sets pi, means and covs.

        Args:
            X: float64 (N, D).
            gamma: float64 (N, K), rows sum to 1.
        """
        # BEGIN_YOUR_CODE 1.2 M-step
        n_soft = gamma.sum(axis=0) + 10 * np.finfo(float).eps  # never 0, even when a component has lost all samples
        self.pi = n_soft / n_soft.sum()
        self.means = (gamma.T @ X) / n_soft[:, None]
        D = X.shape[1]

        def covariances(about):
            total = self._second_moments(X, gamma, about)
            return total / n_soft[:, None, None] + 1e-6 * np.eye(D)  # the ridge keeps them invertible

        # About the centre of all data, where a sample is set off once and not for every component; the offsets of the
        # means are taken off at the end.
        centre = self.pi @ self.means
        offsets = self.means - centre
        self.covs = covariances(centre[None]) - offsets[:, :, None] * offsets[:, None, :]
        # That difference loses digits where a component lies 30 of its widths away, or has lost its samples; beyond an
        # offset of 10,000 they are those of the ridge, which may be all the width that some direction has.
        lost = offsets**2 > np.minimum(1000 * np.diagonal(self.covs, axis1=1, axis2=2), 1e8)
        if lost.any() or n_soft.min() < 1:
            self.covs = covariances(self.means)
        # END_YOUR_CODE

    def _gaussian(self, X: np.ndarray, mean: np.ndarray, inv_cov: np.ndarray, det: float) -> np.ndarray:
        """Density of one normal distribution: (N, D), (D,), inverse covariance (D, D) and its determinant -> (N,).

        The textbook's form: it underflows to 0 far from the mean and overflows at large D; ``log_gaussian`` does not.
        """
        diff = X - mean
        exponent = -0.5 * np.einsum("nd,de,ne->n", diff, inv_cov, diff, optimize=True)
        return np.exp(exponent) / np.sqrt((2 * np.pi) ** self.data_dim * det)

    def fit(self, X: np.ndarray, max_iter: int = 100, tol: float = 1e-3, seed: int | None = None) -> None:
        """Fit the mixture: one M-step on k-means clusters, then EM.

        Args:
            X: (N, D), any real dtype.
            max_iter: at most so many iterations.
            tol: stop when the mean log-likelihood of a sample gains less than this, in nats.
            seed: of k-means; None takes a fresh one.

        Raises:
            ValueError: ``X`` has not the shape (N, D), or holds NaN or infinity.
        """
        from sklearn.cluster import KMeans  # takes a second, which whoever imports GMM to predict need not wait

        X = np.ascontiguousarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.data_dim:
            raise ValueError(f"X must have shape (N, {self.data_dim}), got {X.shape}")
        labels = KMeans(self.n_components, n_init=1, random_state=seed).fit(X).labels_
        self._m_step(X, np.eye(self.n_components)[labels])
        self.log_likelihoods, self.converged = [], False
        bar = tqdm(total=max_iter, desc="EM", unit="iteration", leave=False, delay=1)
        # Threads of BLAS would wait for work between our own threads' products, at full load.
        with bar, BLAS.limit(limits=1, user_api="blas"):
            while len(self.log_likelihoods) < max_iter and not self.converged:
                gamma = self._e_step(X)
                self.log_likelihoods.append(self._mean_log_likelihood(X, gamma))
                self._m_step(X, gamma)
                gain = np.diff(self.log_likelihoods[-2:])
                self.converged = bool(len(gain) and abs(gain[0]) < tol)
                bar.set_postfix(log_likelihood=f"{self.log_likelihoods[-1]:.4f}", refresh=False)
                bar.update()
                if not np.isfinite(self.log_likelihoods[-1]):
                    break  # a step went wrong, and no later one can mend it

    def _mean_log_likelihood(self, X: np.ndarray, gamma: np.ndarray) -> float:
        """Mean log p(x) for the parameters that gave ``gamma``, from one component a sample instead of all K.

        By Bayes' rule p(x) = pi_k N_k(x) / gamma_k for every k; the most probable k is the safest in floating point.
        """
        best = gamma.max(axis=1)
        members, free = [], np.ones(len(X), dtype=bool)
        for k in range(self.n_components):
            members.append(np.flatnonzero((gamma[:, k] == best) & free))
            free[members[k]] = False  # of equally probable components the first one serves

        def log_likelihood(components):
            total = 0.0
            for k in components:
                for rows in row_blocks(len(members[k]), max(64, 200_000 // self.data_dim)):
                    mine = X.take(members[k][rows], axis=0)
                    total += (np.log(self.pi[k]) + log_gaussian(mine, self.means[k], self.covs[k])).sum()
            return total

        n_numbers = 4 * X.size  # gathered, set off, whitened, squared
        joint = sum(in_parallel(log_likelihood, range(self.n_components), n_numbers))
        return float((joint - np.log(best).sum()) / len(X))

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable component of each sample: (N, D) -> int64 (N,)."""
        return self._e_step(np.asarray(X, dtype=np.float64)).argmax(axis=1)

    def save_pretrained(self, path: str | Path) -> None:
        """Write ``config.json`` and ``gmm.safetensors`` into the folder ``path``."""
        settings = {"n_components": self.n_components, "data_dim": self.data_dim}
        _save(path, "gmm", settings, means=self.means, covs=self.covs, pi=self.pi)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "GMM":
        """Read a mixture back from the folder ``path``."""
        settings, arrays = _load(path, "gmm")
        gmm = cls(settings["n_components"], settings["data_dim"])
        gmm.means, gmm.covs, gmm.pi = arrays["means"], arrays["covs"], arrays["pi"]
        return gmm


class PCA:
    """Principal component analysis: the d directions in which the data vary most.

    Attributes:
        components: float64 (d, D), orthonormal rows, the most variance first.
        mean: float64 (D,).
    """

    def __init__(self, dim: int):
        self.dim = dim
        self.components: np.ndarray | None = None
        self.mean: np.ndarray | None = None

    # BEGIN_SOLUTION_ONLY
    @staticmethod
    def _moments(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (D,) and scatter matrix (D, D), the sum of (x - mean)(x - mean)^T, with no float64 copy of X."""
        if X.dtype == np.uint8:
            # Products of pixels shifted by 128 are at most 2^14: 1,024 of them sum to at most 2^24, exact in float32.
            shift, dtype = 128.0, np.float32
        else:
            shift, dtype = X.mean(axis=0, dtype=np.float64), np.float64
        D = X.shape[1]

        def add_up(blocks):
            total, gram = np.zeros(D), np.zeros((D, D))
            # Used again and again: new memory costs time.
            block, product = np.empty((BLOCK_ROWS, D), dtype), np.empty((D, D), dtype)
            for rows in blocks:
                shifted = np.subtract(X[rows], shift, dtype=dtype, out=block[: len(X[rows])])
                total += shifted.sum(axis=0)
                gram += np.matmul(shifted.T, shifted, out=product)
            return total, gram

        total, gram = (sum(parts) for parts in zip(*in_parallel(add_up, row_blocks(len(X)), X.size), strict=True))
        offset = total / len(X)
        return shift + offset, gram - len(X) * np.outer(offset, offset)

    # END_SOLUTION_ONLY

    def fit(self, X: np.ndarray) -> None:
        """Task 2.1: keep the ``dim`` principal components in ``components`` and the mean in ``mean``.

        Args:
            X: (N, D), any real dtype; uint8 pixels are not copied to float64 as a whole.
        """
        # BEGIN_YOUR_CODE 2.1 PCA
        X = np.asarray(X)
        self.mean, scatter = self._moments(X)
        D = len(scatter)
        _, vectors = scipy.linalg.eigh(scatter, subset_by_index=[max(0, D - self.dim), D - 1])  # columns, ascending
        components = vectors.T[::-1]
        # An eigenvector's sign is arbitrary: make its largest entry positive, so that runs can be compared.
        largest = np.abs(components).argmax(axis=1)
        signs = np.sign(components[np.arange(self.dim), largest])
        self.components = np.ascontiguousarray(components * signs[:, None])
        # END_YOUR_CODE

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Coordinates along the components: (N, D), any real dtype -> float64 (N, d)."""
        X = np.asarray(X)
        Z = np.empty((len(X), len(self.components)))
        for rows in row_blocks(len(X)):
            Z[rows] = (X[rows] - self.mean) @ self.components.T
        return Z

    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        """Back to pixels (0..255, may overshoot): (N, d) -> float64 (N, D)."""
        return Z @ self.components + self.mean

    def save_pretrained(self, path: str | Path) -> None:
        """Write ``config.json`` and ``pca.safetensors`` into the folder ``path``."""
        _save(path, "pca", {"dim": self.dim}, components=self.components, mean=self.mean)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "PCA":
        """Read a PCA back from the folder ``path``."""
        settings, arrays = _load(path, "pca")
        pca = cls(settings["dim"])
        pca.components, pca.mean = arrays["components"], arrays["mean"]
        return pca


def sample_from_gmm(gmm: GMM, pca: PCA, label: int, path: str | Path) -> None:
    """Task 5.1: draw one image from a component of the mixture and write it to ``path/gmm_sample.png``.

    Args:
        gmm: a mixture fitted on PCA coordinates.
        pca: the PCA that made them.
        label: which component, 0 to K - 1.
        path: an existing folder.

    The picture has 28 x 28 pixels of 8-bit grey, 0..255.
    """
    # BEGIN_YOUR_CODE 5.1 sampling
    code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label], size=1)  # (1, d)
    pixels = pca.inverse_transform(code).reshape(28, 28)
    # Clipping leaves the background black; stretching min..max to 0..255 would turn it grey.
    image = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    Image.fromarray(image).save(Path(path) / "gmm_sample.png")
    # END_YOUR_CODE


def _save(path: str | Path, name: str, settings: dict[str, int], **arrays: np.ndarray) -> None:
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    # Contiguous copies: safetensors writes a transposed or sliced array scrambled, without a word.
    content = save({key: np.ascontiguousarray(array) for key, array in arrays.items()})
    (path / f"{name}.safetensors").write_bytes(content)  # save_file would let nobody but the owner read it


def _load(path: str | Path, name: str) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    path = Path(path)
    settings = json.loads((path / "config.json").read_text(encoding="utf-8"))
    return settings, load_file(path / f"{name}.safetensors")
