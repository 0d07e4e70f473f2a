"""HI MNIST: the one file that you edit and hand in.

    >>> import numpy as np
    >>> from submission import GMM
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> gmm = GMM(n_components=3, data_dim=2)
    >>> gmm.fit(X, seed=0)
    >>> gmm.predict(X).shape
    (500,)

Your code goes between BEGIN_YOUR_CODE and END_YOUR_CODE, four times: 1.1 the E-step, 1.2 the M-step, 2.1 the principal
components, 5.1 sampling. Everything else is given; your file is graded as you hand it in.

Symbols: N samples, D dimensions of the data (784 pixels for images, the embedding's d for the mixture), K components.
Pixels are 0..255 everywhere, before and after PCA.
"""

import functools
import json
import os
from pathlib import Path

import numpy as np
import scipy.linalg
from PIL import Image


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
        self.n_components, self.data_dim = n_components, data_dim
        self.means = np.zeros((n_components, data_dim))
        self.covs = np.tile(np.eye(data_dim), (n_components, 1, 1))
        self.pi = np.full(n_components, 1 / n_components)
        self.log_likelihoods, self.converged = [], False

    def _e_step(self, X: np.ndarray) -> np.ndarray:
        """Task 1.1: the responsibilities of the components for X, float64 (N, D), under the current parameters.

        Returns gamma, float64 (N, K): the probability that sample n belongs to component k; rows sum to 1. The given
        ``log_gaussian`` below may help.
        """
        # BEGIN_YOUR_CODE 1.1 E-step
        inverses = np.linalg.inv(np.linalg.cholesky(self.covs))  # (K, D, D), lower triangles
        with np.errstate(divide="ignore"):  # a weight of zero is log 0 = -inf, and its gamma exactly 0
            constants = np.log(self.pi) + np.log(np.diagonal(inverses, axis1=1, axis2=2)).sum(axis=1)

        offsets = inverses @ self.means[:, :, None]
        gamma = np.empty((self.n_components, len(X)))  # in both steps the numbers of a component lie together

        def fill(rows):
            white = inverses @ np.ascontiguousarray(X[rows].T)  # (K, D, B)
            white -= offsets  # standard normal if X is drawn from the component
            log_joint = constants[:, None] - 0.5 * np.einsum("kdb,kdb->kb", white, white)
            # Log domain until the last step: far away all densities underflow, their ratios do not.
            joint = np.exp(log_joint - log_joint.max(axis=0))
            np.divide(joint, joint.sum(axis=0), out=gamma[:, rows])

        list(in_parallel(fill, row_blocks(len(X), max(self.data_dim, 300_000 // self.means.size))))
        return gamma.T
        # END_YOUR_CODE

    def _m_step(self, X: np.ndarray, gamma: np.ndarray) -> None:
        """Task 1.2: set pi, means and covs to the maximum-likelihood parameters for given responsibilities.

        X is float64 (N, D), gamma float64 (N, K), and its rows sum to 1.
        """
        # BEGIN_YOUR_CODE 1.2 M-step
        n_soft = gamma.sum(axis=0) + 10 * np.finfo(float).eps  # never 0, even if a component has lost all samples
        self.pi = n_soft / n_soft.sum()
        self.means = (gamma.T @ X) / n_soft[:, None]

        def scatter(rows):
            spread = np.ascontiguousarray(X[rows].T) - self.means[:, :, None]  # (K, D, B)
            spread *= np.sqrt(gamma.T[:, None, rows])  # a matrix times its own transpose is half the work
            return spread @ spread.transpose(0, 2, 1)

        # At least D rows, so that the scatter matrices that wait for the sum are no larger than their blocks.
        blocks = row_blocks(len(X), max(self.data_dim, 300_000 // self.means.size))
        total = sum(in_parallel(scatter, blocks))
        self.covs = total / n_soft[:, None, None] + 1e-6 * np.eye(self.data_dim)  # the ridge keeps them invertible
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
            X: (N, D), any real dtype; another shape, NaN and infinity are a ValueError, in ``predict`` and PCA too.
            max_iter: maximum number of iterations.
            tol: stop when the mean log-likelihood of a sample gains less than this, in nats.
            seed: seed of k-means; None draws a new one.
        """
        from sklearn.cluster import KMeans  # slow to import, and predict does not need it
        from tqdm import tqdm

        X = np.ascontiguousarray(samples(X, self.data_dim), dtype=np.float64)
        labels = KMeans(self.n_components, n_init=1, random_state=seed).fit(X).labels_
        self._m_step(X, np.eye(self.n_components)[labels])
        self.log_likelihoods, self.converged = [], False
        with blas().limit(limits=1, user_api="blas"):  # its threads would spin while they wait for the next product
            for _ in tqdm(range(max_iter), desc="EM", unit="iteration", leave=False, delay=1):
                gamma = self._e_step(X)
                self.log_likelihoods.append(self._mean_log_likelihood(X, gamma))
                self._m_step(X, gamma)
                gain = np.abs(np.diff(self.log_likelihoods[-2:]))  # none after the first iteration
                self.converged = bool((gain < tol).any())
                if self.converged or not np.isfinite(self.log_likelihoods[-1]):  # no later step can repair NaN
                    break

    def _mean_log_likelihood(self, X: np.ndarray, gamma: np.ndarray) -> float:
        """Mean log p(x) for the parameters that gave ``gamma``, from one component per sample instead of all K.

        By Bayes' rule p(x) = pi_k N_k(x) / gamma_k for every k; the most probable k is the safest in floating point.
        """
        best, left = gamma.max(axis=1), np.ones(len(X), dtype=bool)
        total = -np.log(best).sum()
        for k in range(self.n_components):
            members = np.flatnonzero((gamma[:, k] == best) & left)
            left[members] = False  # of equally probable components the first one serves
            if len(members):
                log_density = log_gaussian(X.take(members, axis=0), self.means[k], self.covs[k])
                total += len(members) * np.log(self.pi[k]) + log_density.sum()
        return float(total / len(X))

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable component of each sample: (N, D) -> int64 (N,)."""
        return self._e_step(samples(X, self.data_dim).astype(np.float64, copy=False)).argmax(axis=1)

    def save_pretrained(self, path: str | Path) -> None:
        """Write ``config.json`` and ``gmm.safetensors`` into the folder ``path``."""
        save_model(self, path, "gmm", ["n_components", "data_dim"], ["means", "covs", "pi"])

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "GMM":
        """Read a mixture back from the folder ``path``."""
        return load_model(cls, path, "gmm")


class PCA:
    """Principal component analysis: the d directions in which the data vary most.

    Attributes:
        components: float64 (d, D), orthonormal rows, the most variance first.
        mean: float64 (D,).
    """

    def __init__(self, dim: int):
        self.dim, self.components, self.mean = dim, None, None

    def fit(self, X: np.ndarray) -> None:
        """Task 2.1: set ``mean`` and the ``dim`` principal ``components`` of X, (N, D) of any real dtype."""
        X = samples(X, self.dim, or_more=True)
        # BEGIN_YOUR_CODE 2.1 PCA
        self.mean, scatter = self._moments(X)
        D = len(scatter)
        _, vectors = scipy.linalg.eigh(scatter, subset_by_index=[D - self.dim, D - 1])  # columns, ascending
        components = vectors.T[::-1]
        # An eigenvector's sign is arbitrary: make its largest entry positive, so that runs can be compared.
        signs = np.sign(components[np.arange(self.dim), np.abs(components).argmax(axis=1)])
        self.components = np.ascontiguousarray(components * signs[:, None])
        # END_YOUR_CODE

    # BEGIN_SOLUTION_ONLY
    @staticmethod
    def _moments(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (D,) and scatter matrix (D, D), the sum of (x - mean)(x - mean)^T, with no float64 copy of X."""
        # Products of pixels shifted by 128 are at most 2^14: 1,024 of them sum to at most 2^24, exact in float32.
        shift, dtype = (128, np.float32) if X.dtype == np.uint8 else (X.mean(axis=0, dtype=np.float64), np.float64)

        def add_up(rows):
            shifted = np.subtract(X[rows], shift, dtype=dtype)
            return shifted.sum(axis=0), shifted.T @ shifted

        total, gram = np.zeros(X.shape[1]), np.zeros((X.shape[1], X.shape[1]))
        for part, product in in_parallel(add_up, row_blocks(len(X), 1024)):
            total += part
            gram += product
        offset = total / len(X)
        return shift + offset, gram - len(X) * np.outer(offset, offset)

    # END_SOLUTION_ONLY

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Coordinates along the components: (N, D), any real dtype -> float64 (N, d)."""
        X = samples(X, len(self.mean))
        return np.concatenate([(X[rows] - self.mean) @ self.components.T for rows in row_blocks(len(X), 1024)])

    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        """Back to pixels (0..255, may overshoot): (N, d) -> float64 (N, D)."""
        return Z @ self.components + self.mean

    def save_pretrained(self, path: str | Path) -> None:
        """Write ``config.json`` and ``pca.safetensors`` into the folder ``path``."""
        save_model(self, path, "pca", ["dim"], ["components", "mean"])

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "PCA":
        """Read a PCA back from the folder ``path``."""
        return load_model(cls, path, "pca")


def sample_from_gmm(gmm: GMM, pca: PCA, label: int, path: str | Path) -> None:
    """Task 5.1: draw an image, 28 x 28 pixels of 8-bit grey, and write it to ``path/gmm_sample.png``.

    ``gmm`` is a mixture fitted on the coordinates that ``pca`` made, ``label`` the component to draw from, 0 to K - 1,
    and ``path`` an existing folder.
    """
    # BEGIN_YOUR_CODE 5.1 sampling
    code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label], size=1)  # (1, d)
    pixels = pca.inverse_transform(code).reshape(28, 28)
    # Clipping leaves the background black; stretching min..max to 0..255 would turn it grey.
    image = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    Image.fromarray(image).save(Path(path) / "gmm_sample.png")
    # END_YOUR_CODE


# --------------------------------------------------------------------------- given: used by the classes above


def log_gaussian(X: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """log N(x | mean, cov) of each row: (N, D), (D,), positive definite (D, D), all float64 -> float64 (N,).

    No determinant is computed, so nothing overflows at large D. Raises ``np.linalg.LinAlgError`` if ``cov`` is not
    positive definite.
    """
    lower = np.linalg.cholesky(cov)
    white = np.linalg.inv(lower) @ (X - mean).T  # (D, N), standard normal if X is drawn from it
    log_det = 2 * np.log(np.diag(lower)).sum()
    return -0.5 * (np.einsum("dn,dn->n", white, white) + log_det + len(mean) * np.log(2 * np.pi))


def samples(X: np.ndarray, D: int, or_more: bool = False) -> np.ndarray:
    """X as an array; a ValueError unless its shape is (N, D), or has more columns if ``or_more``, and it is finite."""
    X = np.asarray_chkfinite(X)
    if X.ndim != 2 or X.shape[1] < D or X.shape[1] > D and not or_more:
        raise ValueError(f"X must have shape (N, {D}{' or more' * or_more}), a row for each sample; got {X.shape}")
    return X


def row_blocks(n_rows: int, size: int) -> list[slice]:
    """Slices that cover ``n_rows`` rows in blocks of ``size``, which fit into the processor's cache."""
    return [slice(start, start + size) for start in range(0, max(1, n_rows), size)]


# BEGIN_SOLUTION_ONLY
def in_parallel(work, items):
    """Yield ``work(item)`` for each item, in order, from threads on all cores: NumPy releases Python's lock."""
    from concurrent.futures import ThreadPoolExecutor

    # One BLAS thread each: more would compete. More than eight threads cost more memory than they save time.
    with blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from (pool.map if len(items) > 1 else map)(work, items)  # one block is done before a thread has started


# END_SOLUTION_ONLY
@functools.cache  # searching for them takes time
def blas():
    """The libraries that compute matrix products; ``limit`` restricts their own threads."""
    from threadpoolctl import ThreadpoolController  # comes with scikit-learn

    return ThreadpoolController()


def save_model(model, path: str | Path, name: str, settings: list[str], arrays: list[str]) -> None:
    """Write attributes of ``model`` into the folder ``path``: ``config.json`` and ``{name}.safetensors``."""
    from safetensors.numpy import save

    Path(path).mkdir(parents=True, exist_ok=True)
    Path(path, "config.json").write_text(json.dumps({k: getattr(model, k) for k in settings}, indent=2) + "\n", "utf-8")
    # Contiguous copies: safetensors silently scrambles transposed or sliced arrays.
    content = save({key: np.ascontiguousarray(getattr(model, key)) for key in arrays})
    Path(path, f"{name}.safetensors").write_bytes(content)  # save_file would make it readable by its owner only


def load_model(kind: type, path: str | Path, name: str):
    """A new ``kind`` with the attributes that ``save_model`` wrote."""
    from safetensors.numpy import load_file

    model = kind(**json.loads(Path(path, "config.json").read_text(encoding="utf-8")))
    vars(model).update(load_file(Path(path, f"{name}.safetensors")))
    return model
