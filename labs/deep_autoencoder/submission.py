"""The file that you edit: loaders, restricted Boltzmann machine (RBM), autoencoder, and how both are judged.

Fill in what stands between ``# BEGIN_YOUR_CODE`` and ``# END_YOUR_CODE``; leave names and signatures as they are.
``python -m labs.deep_autoencoder --check`` checks each task by itself and says what is wrong.

The last task is a bonus. Symbols: N images, D = 784 pixels, V visible and H hidden units of one RBM, d = 30 numbers of
a code. Pixels and probabilities lie in [0, 1], float32.
Source: Hinton and Salakhutdinov 2006, Reducing the Dimensionality of Data with Neural Networks, Science 313:504.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

LAYERS = (784, 2000, 1000, 500, 30)

# --------------------------------------------------------------------------- 3.1 data (20 points)


def prepare_dataloaders(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], batch_size: int, num_workers=0, generator=None
) -> tuple[DataLoader, DataLoader]:
    """Batches of images and labels.

    Args:
        train: images uint8 (N, 1, 28, 28) of 0..255 and labels int64 (N,).
        test: the same of the test images.
        batch_size: images in a batch; the last one may be smaller.
        num_workers: processes that fetch batches; 0 fetches them in this one.
        generator: a torch.Generator that decides the order of the training images, anew in each epoch.

    Returns:
        train_loader, which shuffles, and test_loader, which keeps the order. Both yield x float32 (B, 1, 28, 28) in
        [0, 1] and y int64 (B,), and leave no image out.
    """
    # BEGIN_YOUR_CODE 3.1 data
    train_dataset, test_dataset = (TensorDataset(images.float() / 255, labels) for images, labels in (train, test))
    settings = {"batch_size": batch_size, "num_workers": num_workers}
    train_loader = DataLoader(train_dataset, shuffle=True, generator=generator, **settings)
    test_loader = DataLoader(test_dataset, shuffle=False, **settings)
    # END_YOUR_CODE
    return train_loader, test_loader


# --------------------------------------------------------------------------- 3.2 RBM (30 points)


class RBM(nn.Module):
    """A restricted Boltzmann machine, trained by contrastive divergence (Hinton 2002).

    Energy E(v, h) = -v fc h - bias_v v - bias_h h, so the units of one layer are independent given the other.

    Args:
        in_features: V.
        out_features: H.
        k: Gibbs steps of contrastive divergence.
        momentum: share of the last update that is made again; 0 is plain CD-k.
        weight_decay: pulls ``fc`` towards 0, per update and unit of learning rate.
        gaussian_hidden: hidden units are linear with unit-variance noise, not binary: the paper's code layer.

    Attributes:
        fc (V, H), bias_v (V,), bias_h (H,): float32, without gradients: contrastive divergence needs none.
    """

    def __init__(self, in_features: int, out_features: int, k=2, momentum=0.0, weight_decay=0.0, gaussian_hidden=False):
        super().__init__()
        # BEGIN_YOUR_CODE 3.2 RBM parameters
        self.fc = nn.Parameter(0.01 * torch.randn(in_features, out_features), requires_grad=False)
        self.bias_v = nn.Parameter(torch.zeros(in_features), requires_grad=False)
        self.bias_h = nn.Parameter(torch.zeros(out_features), requires_grad=False)
        # END_YOUR_CODE
        self.k, self.momentum, self.weight_decay, self.gaussian_hidden = k, momentum, weight_decay, gaussian_hidden
        self.register_buffer("velocity_fc", torch.zeros(in_features, out_features))
        self.register_buffer("velocity_v", torch.zeros(in_features))
        self.register_buffer("velocity_h", torch.zeros(out_features))

    def sample_p(self, p: Tensor) -> Tensor:
        """Draw each unit from its own probability p: 1 with probability p, else 0, as float of the shape of p."""
        # BEGIN_YOUR_CODE 3.2 RBM sampling
        # Three times faster on a CPU than torch.bernoulli.
        return (torch.rand_like(p) < p).to(p.dtype)
        # END_YOUR_CODE

    def propup(self, v: Tensor) -> Tensor:
        """p(h = 1 | v), (N, V) -> (N, H); the mean of h where the hidden units are Gaussian."""
        activation = v @ self.fc + self.bias_h
        return activation if self.gaussian_hidden else F.sigmoid(activation)

    def propdown(self, h: Tensor) -> Tensor:
        """p(v = 1 | h), (N, H) -> (N, V)."""
        # BEGIN_YOUR_CODE 3.2 RBM downwards
        return F.sigmoid(h @ self.fc.T + self.bias_v)
        # END_YOUR_CODE

    def sample_h(self, p_h: Tensor) -> Tensor:
        """Draw the hidden units, given what ``propup`` says of them."""
        return p_h + torch.randn_like(p_h) if self.gaussian_hidden else self.sample_p(p_h)

    def v2h(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of the hidden units and a draw from them, each (N, H)."""
        p_h = self.propup(v)
        return p_h, self.sample_h(p_h)

    def h2v(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of the visible units and a draw from them, each (N, V)."""
        p_v = self.propdown(h)
        return p_v, self.sample_p(p_v)

    def v2h2v(self, v: Tensor) -> Tensor:
        """Up and down again without drawing anything: (N, V) -> (N, V)."""
        return self.propdown(self.propup(v))

    @torch.no_grad()
    def contrastive_divergence(self, x: Tensor, lr: float) -> None:
        """One update by CD-k on a batch.

        The chain starts at x; hidden units are drawn, visible ones keep their probabilities, which is less noisy
        (Hinton 2010, A Practical Guide to Training RBMs, section 3). Each gradient is the mean over the batch of its
        value at the data less its value after k steps, with probabilities for the hidden units at both ends.

        Args:
            x: (N, V) in [0, 1].
            lr: learning rate.
        """
        # BEGIN_YOUR_CODE 3.2 RBM contrastive divergence
        pos_p_h = p_h = self.propup(x)
        for _ in range(self.k):
            p_v = self.propdown(self.sample_h(p_h))
            p_h = self.propup(p_v)
        gradient_fc = (x.T @ pos_p_h - p_v.T @ p_h) / len(x)
        gradient_v = (x - p_v).mean(dim=0)
        gradient_h = (pos_p_h - p_h).mean(dim=0)
        # END_YOUR_CODE
        self.ascend(gradient_fc, gradient_v, gradient_h, lr)

    def ascend(self, gradient_fc: Tensor, gradient_v: Tensor, gradient_h: Tensor, lr: float) -> None:
        """Add lr times the gradients, with momentum, and with weight decay on ``fc``."""
        if self.weight_decay:
            gradient_fc = gradient_fc - self.weight_decay * self.fc
        velocities = (self.velocity_fc, self.velocity_v, self.velocity_h)
        gradients, parameters = (gradient_fc, gradient_v, gradient_h), (self.fc, self.bias_v, self.bias_h)
        for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
            velocity.mul_(self.momentum).add_(gradient, alpha=lr)
            parameter.add_(velocity)


class RBMHandle(list):
    """The stack of trained RBMs: a list with the lowest first."""

    def v2h(self, x: Tensor) -> Tensor:
        """Pixels to the hidden probabilities of the highest RBM; x itself while there is none."""
        for model in self:
            x = model.propup(x)
        return x

    def h2v(self, h: Tensor) -> Tensor:
        """Hidden probabilities of the highest RBM to pixels."""
        for model in reversed(self):
            h = model.propdown(h)
        return h

    def v2h2v(self, x: Tensor) -> Tensor:
        return self.h2v(self.v2h(x))


def reconstruct(model: RBM, rbm_models: RBMHandle, x: Tensor) -> Tensor:
    """Pixels up through the trained stack and the RBM in training, and down again: (N, D) -> (N, D).

    Args:
        model: the RBM in training; it is not in the stack yet.
        rbm_models: the RBMs below it.
        x: pixels.
    """
    # BEGIN_YOUR_CODE 3.2 RBM reconstruction
    return rbm_models.h2v(model.v2h2v(rbm_models.v2h(x)))
    # END_YOUR_CODE


# --------------------------------------------------------------------------- 3.3 autoencoder (30 points)


def basic_block(in_features: int, out_features: int, linear: bool = False) -> nn.Sequential:
    """A linear layer and the logistic function; the layer alone where ``linear``."""
    layer = nn.Linear(in_features, out_features)
    return nn.Sequential(layer) if linear else nn.Sequential(layer, nn.Sigmoid())


class Autoencoder(nn.Module):
    """An encoder of ``basic_block`` by ``basic_block``, and its mirror image as decoder.

    Args:
        layers: widths from the pixels to the code; the decoder goes back the same way.
        linear_code: the code layer has no logistic function, as in the paper.

    Attributes:
        encoder, decoder: ``nn.Sequential`` of ``len(layers) - 1`` blocks each, so that a parameter is named
            ``encoder.0.0.weight``.
    """

    def __init__(self, layers: tuple[int, ...] = LAYERS, linear_code: bool = False):
        super().__init__()
        # BEGIN_YOUR_CODE 3.3 autoencoder layers
        pairs = list(zip(layers[:-1], layers[1:], strict=True))
        last = len(pairs) - 1
        self.encoder = nn.Sequential(*(basic_block(a, b, linear_code and i == last) for i, (a, b) in enumerate(pairs)))
        self.decoder = nn.Sequential(*(basic_block(b, a) for a, b in reversed(pairs)))
        # END_YOUR_CODE

    def forward(self, x: Tensor) -> Tensor:
        """Pixels to their reconstruction: (N, D) -> (N, D) in [0, 1]."""
        # BEGIN_YOUR_CODE 3.3 autoencoder forward
        hidden = self.encoder(x)
        return self.decoder(hidden)
        # END_YOUR_CODE


def load_rbm_pretrained_models(ae_model: Autoencoder, rbm_models: RBMHandle) -> None:
    """Unroll the stack: set the autoencoder's weights so that it computes ``rbm_models.v2h2v``.

    RBM i gives encoder layer i its ``fc`` and hidden bias, and the decoder layer that mirrors it the transpose and the
    visible bias (paper, figure 1). ``nn.Linear`` computes ``x @ weight.T + bias``. Without RBMs nothing happens.
    """
    pretrained = {}
    # BEGIN_YOUR_CODE 3.3 unrolling
    for i, model in enumerate(rbm_models):
        mirror = len(rbm_models) - 1 - i
        pretrained[f"encoder.{i}.0.weight"] = model.fc.T
        pretrained[f"encoder.{i}.0.bias"] = model.bias_h
        pretrained[f"decoder.{mirror}.0.weight"] = model.fc
        pretrained[f"decoder.{mirror}.0.bias"] = model.bias_v
    # END_YOUR_CODE
    ae_model.load_state_dict(ae_model.state_dict() | pretrained)


def train_step(model: Autoencoder, x: Tensor, criterion: nn.Module, optimizer: torch.optim.Optimizer) -> Tensor:
    """One step of fine-tuning on a batch x (N, D): returns the loss before the step, a scalar."""
    # BEGIN_YOUR_CODE 3.3 fine-tuning
    optimizer.zero_grad()
    loss = criterion(model(x), x)
    loss.backward()
    optimizer.step()
    # END_YOUR_CODE
    return loss.detach()


# --------------------------------------------------------------------------- 3.4 analysis (12 points)


def squared_error_per_image(x: Tensor, reconstructed: Tensor) -> Tensor:
    """Sum over the pixels of the squared difference, for each image: (N, D), (N, D) -> (N,)."""
    # BEGIN_YOUR_CODE 3.4 squared error
    return ((x - reconstructed) ** 2).sum(dim=1)
    # END_YOUR_CODE


def probe(
    train_codes: np.ndarray, train_labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray, classifier
) -> tuple[float, float]:
    """How well a linear classifier reads the digit from codes.

    Args:
        train_codes, test_codes: float (N, d).
        train_labels, test_labels: int (N,).
        classifier: scikit-learn's, with ``fit(X, y)`` and ``score(X, y)``; both calls of ``fit`` may use it.

    Returns:
        honest, the accuracy on the test images when fitted on the training images; and same_set, the accuracy on the
        test images when fitted on these test images themselves, which is the assignment's own variant.
    """
    # BEGIN_YOUR_CODE 3.4 probe
    honest = classifier.fit(train_codes, train_labels).score(test_codes, test_labels)
    same_set = classifier.fit(test_codes, test_labels).score(test_codes, test_labels)
    # END_YOUR_CODE
    return honest, same_set


# --------------------------------------------------------------------------- 4.1 bonus: odd colours (10 points)


def score(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How suspicious each coloured digit is: higher for one whose colour is probably not that of most of its class.

    Nobody tells the colours, how many images of a class are odd (0.5 % to 10 %), or where to draw the line: only the
    order of the scores counts, over all classes together.

    Args:
        images: uint8 (N, 28, 28, 3), RGB, the background black.
        labels: int64 (N,), the digits.

    Returns:
        float (N,).
    """
    # BEGIN_YOUR_CODE 4.1 odd colours
    ink = images.max(axis=(1, 2)) / 255  # grey times colour, so every channel is largest where the ink is
    suspicious = np.empty(len(images))
    for label in np.unique(labels):
        members = labels == label
        usual = np.median(ink[members], axis=0)  # which the odd ones cannot move far
        suspicious[members] = np.linalg.norm(ink[members] - usual, axis=1)
    return suspicious
    # END_YOUR_CODE
