"""The training images in two dimensions, by PCA, t-SNE and the AutoEncoder; computed once and cached."""

import sys
import time
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np

from hi_mnist import data, files, networks, tsne
from hi_mnist.networks import AE_NETWORK

TSNE_SETTINGS = {"perplexity": 30, "pca_dimensions": 50, "neighbours": "exact", "seed": 42}
PROJECTIONS = {"pca": "PCA", "tsne": "t-SNE", "ae": "AutoEncoder"}


def project_pca(images: np.ndarray) -> np.ndarray:
    """scikit-learn's first two principal components of images (N, 1, 28, 28): float64 (N, 2), signs fixed."""
    from sklearn.decomposition import PCA

    pca = PCA(2, svd_solver="covariance_eigh")
    plane = pca.fit_transform(data.flatten(images).astype(np.float32)).astype(np.float64)
    largest = np.abs(pca.components_).argmax(axis=1)
    return plane * np.sign(pca.components_[[0, 1], largest])


def project_tsne(images: np.ndarray) -> np.ndarray:
    """t-SNE of the first 50 principal components of images uint8 (N, 1, 28, 28), cached.

    Returns:
        float64 (N, 2). Source: van der Maaten and Hinton 2008; openTSNE: Policar et al. 2024 (JSS 109:3).
    """
    return _tsne(images)["plane"]


def tsne_seconds(images: np.ndarray) -> float:
    """How long computing the t-SNE of ``project_tsne`` took, in seconds."""
    return float(_tsne(images)["seconds"])


def _tsne(images: np.ndarray) -> dict[str, np.ndarray]:
    def compute():
        start = time.perf_counter()
        plane = compute_tsne(images)
        return {"plane": plane, "seconds": np.array(time.perf_counter() - start)}

    package = "openTSNE" if find_spec("openTSNE") else "scikit-learn"
    settings = TSNE_SETTINGS | (tsne.settings(len(images)) if package == "openTSNE" else {})
    depends_on = [files.data_hash(images), settings, package, version(package)]
    shapes = {"plane": (len(images), 2), "seconds": ()}
    return files.cached("tsne", depends_on, shapes, compute, lambda kept: kept["seconds"] > 0)


def compute_tsne(images: np.ndarray) -> np.ndarray:
    """t-SNE of images uint8 (N, 1, 28, 28), float64 (N, 2): by openTSNE, else by scikit-learn."""
    if (images == images[0]).all():  # no direction to spread them in
        return np.zeros((len(images), 2))
    codes = tsne_codes(images)
    perplexity, seed = TSNE_SETTINGS["perplexity"], TSNE_SETTINGS["seed"]
    if find_spec("openTSNE"):
        return tsne.fit(codes, perplexity, seed)
    from sklearn.manifold import TSNE

    print("openTSNE is not installed: scikit-learn computes t-SNE, which takes several times as long", file=sys.stderr)
    return TSNE(perplexity=perplexity, random_state=seed, n_jobs=-1).fit_transform(codes).astype(np.float64)


def tsne_codes(images: np.ndarray) -> np.ndarray:
    """What t-SNE is computed of: the first principal components of images uint8 (N, 1, 28, 28), float32 (N, 50)."""
    from sklearn.decomposition import PCA

    rows = data.flatten(images).astype(np.float32)
    return PCA(TSNE_SETTINGS["pca_dimensions"], svd_solver="covariance_eigh").fit_transform(rows)


def project_ae(images: np.ndarray, ae_source: str | None) -> np.ndarray:
    """The AutoEncoder's plane: float64 (N, 2); an AE of more dimensions is shown by its first two components."""
    codes = networks.ae_encode(networks.load_ae(ae_source), images).astype(np.float64)
    if codes.shape[1] == 2:
        return codes
    if codes.shape[1] == 1:
        return np.column_stack([codes, np.zeros(len(codes))])
    from sklearn.decomposition import PCA

    return PCA(2).fit_transform(codes)


def make_planes(images: np.ndarray, ae_source: str | None = None) -> dict[str, np.ndarray]:
    """The projections of images (N, 1, 28, 28), each float64 (N, 2), by the names in ``PROJECTIONS``."""
    content, shapes = files.data_hash(images), {"plane": (len(images), 2)}
    planes = {}
    # The AE first: if it cannot be loaded, the error comes before the slow t-SNE.
    if networks.has_torch():
        ae_key = [content, networks.network_digest(AE_NETWORK, ae_source), version("torch")]
        planes |= {"ae": files.cached("ae", ae_key, shapes, lambda: {"plane": project_ae(images, ae_source)})["plane"]}
    else:
        print("torch is not installed: the projection by the AutoEncoder is left out", file=sys.stderr)
    pca = files.cached("pca", [content, version("scikit-learn")], shapes, lambda: {"plane": project_pca(images)})
    return {"pca": pca["plane"], "tsne": project_tsne(images)} | planes
