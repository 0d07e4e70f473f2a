"""Fashion tutorial: the one file that you edit.

    >>> import torch
    >>> from labs.fashion_tutorial.submission import AutoEncoder
    >>> AutoEncoder().get_latent_rep(torch.rand(5, 784)).shape
    torch.Size([5, 10])

Your code goes between BEGIN_YOUR_CODE and END_YOUR_CODE, three times: 1.1 the layers, 1.2 one step of training,
2.1 the ways into the plane. ``python -m labs.fashion_tutorial --check`` scores the three.

Symbols: N images, D = 784 pixels in [0, 1], d dimensions of the code.
"""

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from sklearn.decomposition import PCA, KernelPCA
from sklearn.manifold import TSNE, Isomap, LocallyLinearEmbedding
from torch import Tensor, nn


class AutoEncoder(nn.Module, PyTorchModelHubMixin):
    """Dense autoencoder: D-h-h-d and back, rectified inside, linear code, pixels by a sigmoid.

    Args:
        input_dim: D.
        hidden_dim: h, units of both hidden layers on each side.
        latent_dim: d.
    """

    def __init__(self, input_dim: int = 784, hidden_dim: int = 256, latent_dim: int = 10):
        super().__init__()
        # BEGIN_YOUR_CODE 1.1 Dense autoencoder
        self.encoder = nn.Sequential(
            nn.Linear(input_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, latent_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, input_dim),
            nn.Sigmoid(),
        )
        # END_YOUR_CODE

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct: float32 (N, D) -> float32 (N, D), both in [0, 1]."""
        return self.decoder(self.encoder(x))

    def get_latent_rep(self, x: Tensor) -> Tensor:
        """Encode: float32 (N, D) -> the codes, float32 (N, d)."""
        return self.encoder(x)


def train_step(autoencoder: nn.Module, images: Tensor, optimizer: torch.optim.Optimizer) -> float:
    """Task 1.2: take one step towards a smaller reconstruction error on a batch.

    Args:
        autoencoder: maps (N, D) to (N, D).
        images: float32 (N, D) in [0, 1].
        optimizer: of the autoencoder's parameters; gradients of an earlier step may still be stored in them.

    Returns:
        the loss before the step: binary cross-entropy in nats, the mean over all N x D pixels.
    """
    # BEGIN_YOUR_CODE 1.2 Training step
    loss = F.binary_cross_entropy(autoencoder(images), images)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
    # END_YOUR_CODE


def projections(n_neighbors: int, kernel_width: float, seed: int) -> dict:
    """Task 2.1: five ways of scikit-learn to bring codes into the plane.

    Args:
        n_neighbors: how many neighbours LLE and Isomap look at.
        kernel_width: gamma of kernel PCA's kernel exp(-gamma |x - y|^2), which says how far a point sees.
        seed: of what is random (LLE, t-SNE).

    Returns:
        name -> an object with ``fit_transform(codes (N, d)) -> (N, 2)``, for the names "PCA", "kernel PCA", "t-SNE",
        "LLE" and "Isomap". What is not given stays as scikit-learn has it.
    """
    # BEGIN_YOUR_CODE 2.1 Projections
    return {
        "PCA": PCA(2),
        "kernel PCA": KernelPCA(2, kernel="rbf", gamma=kernel_width),
        "t-SNE": TSNE(2, random_state=seed),
        "LLE": LocallyLinearEmbedding(n_components=2, n_neighbors=n_neighbors, random_state=seed),
        "Isomap": Isomap(n_components=2, n_neighbors=n_neighbors),
    }
    # END_YOUR_CODE
