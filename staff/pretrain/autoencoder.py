"""The autoencoder, learnt from images alone, uint8 (N, 1, 28, 28), in four stages:

1. ``learn_features``: an encoder that recognises an image under random distortions (InfoNCE; van den Oord et al. 2018,
   arXiv 1807.03748; Chen et al. 2020, arXiv 2002.05709);
2. ``lay_out``: UMAP of those features, a plane that keeps neighbours together (McInnes et al. 2018, arXiv 1802.03426),
   and a mixture of ten on it;
3. ``learn_clusters``: a classifier of distorted images learns from the surest of these clusters to name the others
   (self-labelling; Van Gansbeke et al. 2020, arXiv 2005.12320), and the plane is laid out again from what it thinks;
4. ``fit_autoencoder``: encoder and decoder together; the encoder is drawn to the plane (the neighbourhood term) while
   the decoder reconstructs the image from its two numbers.

Symbols: N images, F = 256 features, K = 10 clusters.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn
from tqdm import tqdm

from hi_mnist import data, files, tsne
from hi_mnist.data import N_CLASSES
from model import AE
from staff.pretrain.distortions import distort
from staff.pretrain.loop import Training

NEIGHBOURS = 15
PIXEL_WEIGHT = 0.1  # of a neighbour in pixels against one by features


class Contrast(nn.Module):
    """The AE's encoder up to its features, and a projection head for the contrastive loss."""

    def __init__(self):
        super().__init__()
        self.trunk = AE().trunk
        self.head = nn.Sequential(nn.Linear(AE.feature_dim, AE.feature_dim), nn.ReLU(), nn.Linear(AE.feature_dim, 64))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.head(self.trunk(x)), dim=1)


def info_nce(a: Tensor, b: Tensor, temperature: float = 0.15) -> Tensor:
    """The contrastive loss of two views (N, p) of N images: each must find its partner among 2N - 1 others."""
    views = torch.cat([a, b])
    similarity = views @ views.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    return F.cross_entropy(similarity, torch.arange(len(views), device=a.device).roll(len(a)))


def learn_features(images: Tensor, *, steps, batch, seed, work_dir, device) -> nn.Module:
    """Stage 1: an encoder, in evaluation mode, whose F features do not change when a digit is distorted."""
    torch.manual_seed(seed)
    net = Contrast().to(device, memory_format=torch.channels_last)
    training = Training(net, "ae-1-features", steps, work_dir, lr=2e-3, seed=seed, decay=0.7)

    def loss(generator):
        x = images[torch.randint(len(images), (batch,), generator=generator)].to(device).float() / 255
        views = torch.cat([distort(x, generator), distort(x, generator)])
        return info_nce(*net(views.contiguous(memory_format=torch.channels_last)).chunk(2))

    training.run(loss)
    return net.trunk


@torch.inference_mode()
def average_views(function: Callable[[Tensor], Tensor], images: Tensor, device, views: int = 8) -> np.ndarray:
    """What a network says of each image and of lightly distorted views of it, averaged: float32 (N, any)."""
    generator = torch.Generator().manual_seed(0)
    out = []
    for block in tqdm(images.split(1000), desc="views", unit="block"):
        x = block.to(device, memory_format=torch.channels_last).float() / 255
        seen = [x, *(distort(x, generator, strength=0.4) for _ in range(views))]
        out.append(torch.stack([function(view) for view in seen]).mean(dim=0).cpu())
    return torch.cat(out).numpy()


def neighbour_graph(rows: np.ndarray, k: int, seed: int) -> csr_matrix:
    """UMAP's graph of k neighbours with itself, of rows float32 (N, d) around 0: weights in [0, 1], (N, N)."""
    from umap.umap_ import fuzzy_simplicial_set

    neighbours, distances = tsne.nearest(rows - rows.mean(axis=0), k - 1)
    itself = np.arange(len(rows))[:, None]
    known = {
        "knn_indices": np.hstack([itself, neighbours]).astype(np.int32),
        # Half the squared distance of unit vectors is the cosine distance.
        "knn_dists": np.pad(distances**2 / 2, ((0, 0), (1, 0))).astype(np.float32),
    }
    return fuzzy_simplicial_set(rows, k, np.random.RandomState(seed), "euclidean", **known)[0]


def graph_of(rows: np.ndarray, images: Tensor, seed: int) -> csr_matrix:
    """The graph of features float32 (N, d), and with a small weight that of the pixels: (N, N).

    A rare way of writing a digit (the crossed seven) is an island of features, and where an island lands is chance. In
    raw pixels its neighbours have the common form.
    """
    pixels = data.flatten(images.numpy()).astype(np.float32)
    pixels = PCA(min(50, *pixels.shape), svd_solver="covariance_eigh").fit_transform(pixels)
    graph = neighbour_graph(rows, 2 * NEIGHBOURS, seed)
    return graph.maximum(PIXEL_WEIGHT * neighbour_graph(pixels, NEIGHBOURS, seed))


def within_clusters(graph: csr_matrix, odds: np.ndarray) -> csr_matrix:
    """A graph (N, N) whose weights are multiplied by the odds, (N, K), that both ends are of one cluster."""
    graph = graph.tocoo()
    both = np.einsum("ik,ik->i", odds[graph.row], odds[graph.col])
    return csr_matrix((graph.data * both, (graph.row, graph.col)), graph.shape)


def lay_out(graph: csr_matrix, seed: int, start: np.ndarray | str = "spectral") -> np.ndarray:
    """UMAP's plane of a graph (N, N), from its spectrum or from another plane (N, 2).

    Returns:
        float32 (N, 2), centred, standard deviation 1.
    """
    from umap.umap_ import find_ab_params, simplicial_set_embedding  # late: slow to compile, and only staff need it

    a, b = find_ab_params(spread=1.0, min_dist=0.0)
    layout = {"initial_alpha": 1.0, "a": a, "b": b, "gamma": 1.0, "negative_sample_rate": 5, "n_epochs": 200}
    unused = {"metric": "euclidean", "metric_kwds": {}, "densmap": False, "densmap_kwds": {}, "output_dens": False}
    rng, rows = np.random.RandomState(seed), np.zeros((graph.shape[0], 1), np.float32)  # rows: read by other starts
    plane, _ = simplicial_set_embedding(
        rows, graph.tocoo(), n_components=2, init=start, random_state=rng, verbose=True, **layout, **unused
    )
    return ((plane - plane.mean(0)) / plane.std()).astype(np.float32)


def sure_clusters(plane: np.ndarray, features: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of a mixture of K on the plane (N, 2), int64 (N,), and where they are sure, bool (N,).

    Sure is an image whose nearest neighbours by features, float32 (N, F), are all in its cluster.
    """
    neighbours, _ = tsne.nearest(features - features.mean(axis=0), NEIGHBOURS)
    mixture = GaussianMixture(N_CLASSES, max_iter=100, n_init=3, random_state=seed).fit(plane.astype(np.float64))
    clusters = mixture.predict(plane.astype(np.float64))
    return clusters, (clusters[neighbours] == clusters[:, None]).all(axis=1)


def learn_clusters(images: Tensor, trunk, clusters, sure, *, steps, batch, seed, work_dir, device) -> nn.Module:
    """Stage 3: a classifier that learns the sure clusters from strongly distorted images; in evaluation mode."""
    torch.manual_seed(seed)
    net = nn.Sequential(copy.deepcopy(trunk), nn.Linear(AE.feature_dim, N_CLASSES))
    net = net.to(device, memory_format=torch.channels_last)
    training = Training(net, "ae-2-clusters", steps, work_dir, lr=1e-3, seed=seed, ema=0.995)
    index, names = torch.from_numpy(np.flatnonzero(sure)), torch.from_numpy(clusters)

    def loss(generator):
        chosen = index[torch.randint(len(index), (batch,), generator=generator)]
        x = distort(images[chosen].to(device).float() / 255, generator, strength=0.8)
        return F.cross_entropy(net(x.contiguous(memory_format=torch.channels_last)), names[chosen].to(device))

    training.run(loss)
    net.load_state_dict(training.averaged)
    return net.eval()


def fit_autoencoder(images: Tensor, plane: Tensor, trunk, *, steps, batch, seed, work_dir, device) -> AE:
    """Stage 4: train encoder and decoder together.

    The encoder starts from ``trunk``. The loss is the distance of a (lightly distorted) image's code to its place in
    the plane, float32 (N, 2), plus the reconstruction error of the image itself.
    """
    torch.manual_seed(seed)
    ae = AE().to(device, memory_format=torch.channels_last)
    ae.trunk.load_state_dict(trunk.state_dict())
    training = Training(ae, "ae-3-autoencoder", steps, work_dir, lr=2e-3, seed=seed, ema=0.998)

    def loss(generator):
        index = torch.randint(len(images), (batch,), generator=generator)
        x = images[index].to(device).float() / 255
        target = plane[index].to(device)
        seen = torch.cat([x, distort(x, generator, strength=0.4)]).contiguous(memory_format=torch.channels_last)
        z, z_distorted = ae.encoder(seen).chunk(2)
        neighbourhood = F.huber_loss(z, target, delta=0.1) + F.huber_loss(z_distorted, target, delta=0.1)
        return 20 * neighbourhood + 10 * F.mse_loss(ae.decoder(z), x)

    training.run(loss)
    ae.load_state_dict(training.averaged)
    return ae.eval()


def train(images: Tensor, args, folder: Path, device) -> AE:
    """Run all stages on images uint8 (N, 1, 28, 28); what a folder holds of earlier runs is read back.

    ``args`` has the seed, and the steps and batch sizes of the stages.
    """
    common = {"seed": args.seed, "work_dir": folder, "device": device}
    trunk = learn_features(images, steps=args.contrast_steps, batch=args.contrast_batch, **common)
    features = _kept(folder / "features.npy", lambda: average_views(lambda x: F.normalize(trunk(x)), images, device))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    plane = _kept(folder / "plane-1.npy", lambda: lay_out(graph_of(features, images, args.seed), args.seed))
    clusters, sure = sure_clusters(plane, features, args.seed)
    common |= {"batch": args.batch}
    classifier = learn_clusters(images, trunk, clusters, sure, steps=args.cluster_steps, **common)
    odds = _kept(folder / "odds.npy", lambda: average_views(lambda x: classifier(x).softmax(dim=1), images, device))

    def again() -> np.ndarray:
        graph = graph_of(np.hstack([features, odds]), images, args.seed)
        return lay_out(within_clusters(graph, odds), args.seed, start=plane)

    target = torch.from_numpy(_kept(folder / "plane-2.npy", again))
    return fit_autoencoder(images, target, classifier[0], steps=args.steps, **common)


def _kept(path: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    if not path.exists():
        with files.atomic_path(path) as partial, partial.open("wb") as file:
            np.save(file, compute())
    return np.load(path)


def likeness(labellings: list[np.ndarray]) -> list[float]:
    """How well each labelling (N,) agrees with the others: the mean adjusted Rand index; 1 for a single one."""
    others = [[adjusted_rand_score(a, b) for b in labellings if b is not a] or [1.0] for a in labellings]
    return [float(np.mean(scores)) for scores in others]
