"""The steps from images to labels: train the autoencoder, take standard codes, reduce them again, cluster, agree.

No label enters but the known ones of the first images, and these only name the two clusters.
Symbols: N images, D numbers in a code, d dimensions after the second reduction.
"""

import hashlib
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier, kneighbors_graph
from torch import nn

from hi_mnist import files, networks, projections, training
from hi_mnist.cli import LabError
from hi_mnist.projections import TSNE_SETTINGS
from labs import shared
from labs.image_clustering import submission
from labs.image_clustering.settings import Settings

LOSSES = {"mae": nn.L1Loss, "mse": nn.MSELoss}
OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
}
TRAINED_BY = ("epochs", "batch_size", "latent_dim", "activation", "loss", "optimizer", "learning_rate", "seed")
NEIGHBORS = 10  # in the graph of spectral clustering


class Trained(NamedTuple):
    """An autoencoder and what it makes of the images."""

    autoencoder: submission.Autoencoder
    codes: np.ndarray  # float32 (N, D), standardised
    losses: list[float]  # mean of each epoch
    seconds: float


class Result(NamedTuple):
    """A clustering of the images."""

    labels: np.ndarray  # int64 (N,) of 0 and 1
    plane: np.ndarray  # float (N, d), what was clustered; of the last member of an ensemble
    trained: Trained  # likewise
    members: np.ndarray  # int64 (M, N), the labellings that the consensus was taken from


def as_tensor(images: np.ndarray) -> torch.Tensor:
    """Images uint8 (N, 32, 32, 3) as the network takes them: float32 (N, 3, 32, 32) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def train(images: torch.Tensor, settings: Settings) -> Trained:
    """Train the autoencoder, or take it from the cache, and encode the images, float32 (N, 3, 32, 32) in [-1, 1].

    Raises LabError where the loss or the codes became NaN or infinite.
    """
    training.set_seed(settings.seed)
    autoencoder = submission.Autoencoder(settings.latent_dim, settings.activation)
    # Channels last is the layout in which convolutions are fastest, on CPUs too.
    autoencoder = autoencoder.to(networks.get_device(), memory_format=torch.channels_last)
    images = images.to(networks.get_device(), memory_format=torch.channels_last)

    def compute() -> files.Arrays:
        start = time.monotonic()
        losses = _descend(autoencoder, images, settings)
        state = {name: value.cpu().numpy() for name, value in autoencoder.state_dict().items()}
        return state | {"losses": np.array(losses), "seconds": np.array(time.monotonic() - start)}

    shapes = {name: tuple(value.shape) for name, value in autoencoder.state_dict().items()}
    shapes |= {"losses": (settings.epochs,), "seconds": ()}
    kept = files.cached("clustering", _depends_on(images, settings), shapes, compute)
    losses, seconds = kept.pop("losses").tolist(), float(kept.pop("seconds"))
    autoencoder.load_state_dict({name: torch.from_numpy(array) for name, array in kept.items()})
    autoencoder.eval()
    codes = shared.in_batches(lambda x: autoencoder.encoder(x).flatten(1), images, images.device, 500)
    codes = submission.standardise(codes)
    if not np.isfinite(codes).all():
        raise LabError(f"standard codes hold NaN or infinity; mend task 2.1 in {submission.__file__}")
    return Trained(autoencoder, codes, losses, seconds)


def reconstruct(autoencoder: submission.Autoencoder, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The autoencoder's pictures of ``images`` (N, 3, 32, 32), uint8 (N, 32, 32, 3), and the L1 error of each, (N,)."""
    made = torch.from_numpy(shared.in_batches(lambda x: autoencoder(x)[1], images, networks.get_device(), 500))
    errors = (made - images).abs().mean(dim=(1, 2, 3)).numpy()
    return ((made + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy(), errors


def _depends_on(images: torch.Tensor, settings: Settings) -> list:
    """All that a trained autoencoder depends on, the student's code among it."""
    trained_by = {name: getattr(settings, name) for name in TRAINED_BY}
    code = hashlib.sha256(Path(submission.__file__).read_bytes()).hexdigest()
    return [trained_by, files.data_hash(images.cpu().numpy()), code, torch.__version__]


def _descend(autoencoder: nn.Module, images: torch.Tensor, settings: Settings) -> list[float]:
    """Train by minibatches in a new random order each epoch: the mean loss of each."""
    criterion = LOSSES[settings.loss]()
    optimizer = OPTIMIZERS[settings.optimizer](autoencoder.parameters(), lr=settings.learning_rate)
    device, order = images.device, torch.Generator().manual_seed(settings.seed)
    losses = []
    with shared.progress(range(settings.epochs), desc="training", unit="epoch") as bar:
        for _ in bar:
            total = torch.zeros((), device=device)
            for rows in torch.randperm(len(images), generator=order).to(device).split(settings.batch_size):
                batch = images[rows]
                loss = criterion(autoencoder(batch)[1], batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(batch)
            losses.append(total.item() / len(images))
            bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
            if not np.isfinite(losses[-1]):
                raise LabError(f"the loss is {losses[-1]} in epoch {len(losses)}; take a smaller --learning_rate")
    return losses


def reduce(codes: np.ndarray, settings: Settings) -> np.ndarray:
    """The second reduction of codes (N, D): float (N, d); t-SNE and UMAP have d = 2."""
    d = min(settings.reduced_dim, *codes.shape)
    match settings.reduction:
        case "pca":
            return PCA(d, random_state=settings.seed).fit_transform(codes)
        case "svd":  # the solver finds fewer than D directions
            return TruncatedSVD(min(d, codes.shape[1] - 1), random_state=settings.seed).fit_transform(codes)
        case "tsne":  # it begins with a number of principal components: columns of zeros change none of them
            missing = max(0, TSNE_SETTINGS["pca_dimensions"] - codes.shape[1])
            return projections.compute_tsne(np.pad(codes, ((0, 0), (0, missing))))
        case "umap":
            import umap  # it may not be installed

            start = reduce(codes, replace(settings, reduction="pca"))
            with warnings.catch_warnings(action="ignore"):  # that a seed costs its threads
                return umap.UMAP(n_neighbors=15, min_dist=0.0, random_state=settings.seed).fit_transform(start)
    return codes


def cluster(points: np.ndarray, settings: Settings) -> np.ndarray:
    """Two clusters of points (N, d): int64 (N,) of 0 and 1, named at random."""
    if settings.clusterer == "spectral":
        return cut(points, settings.seed)
    if settings.clusterer == "kmeans":
        return KMeans(2, n_init=10, random_state=settings.seed).fit_predict(points).astype(np.int64)
    mixture = GaussianMixture(2, n_init=3, reg_covar=1e-4, random_state=settings.seed)
    return mixture.fit_predict(np.asarray(points, np.float64))  # float32 makes covariances singular


def cut(points: np.ndarray, seed: int) -> np.ndarray:
    """Spectral clustering (Shi and Malik 2000): cut the graph of nearest neighbours between two large parts.

    Small islands that no edge leads to would be cut off for nothing: each goes with the nearest point of the rest.
    """
    graph = kneighbors_graph(points, min(NEIGHBORS, len(points) - 1))
    graph = (graph + graph.T) / 2
    _, parts = connected_components(graph, directed=False)
    largest = parts == np.bincount(parts).argmax()
    if (~largest).sum() >= 0.1 * len(points):  # no islands: the data fall into parts by themselves
        return (~largest).astype(np.int64)
    labels = np.zeros(len(points), np.int64)
    method = SpectralClustering(2, affinity="precomputed", assign_labels="cluster_qr", random_state=seed)
    labels[largest] = method.fit_predict(graph[largest][:, largest])
    if not largest.all():
        labels[~largest] = KNeighborsClassifier(1).fit(points[largest], labels[largest]).predict(points[~largest])
    return labels


def run(images: np.ndarray, settings: Settings, known: np.ndarray) -> Result:
    """The whole pipeline of images uint8 (N, 32, 32, 3), the first k of labels ``known``, int (k,)."""
    tensor, labellings = as_tensor(images), []
    for member in range(settings.ensemble):
        chosen = replace(settings, seed=(settings.seed + member) % 2**32)
        trained = train(tensor, chosen)
        points = reduce(trained.codes, chosen)
        labellings.append(cluster(points, chosen))
    members = np.array(labellings)
    labels = submission.consensus(members) if len(members) > 1 else members[0]
    return Result(np.asarray(submission.flip(labels, known), np.int64), points, trained, members)
