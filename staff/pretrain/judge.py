"""A judge of digits: a small classifier, trained with labels, that reads the networks' samples.

Its weights stay in the cache folder and are never shipped: no network of the lab learns from it.
Symbols: N images, F = 128 features. Pixels are 0..255 outside, [0, 1] inside the network.
"""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.preprocessing import FunctionTransformer
from torch import Tensor, nn

from hi_mnist import files, networks
from hi_mnist.data import N_CLASSES, DataSet
from staff.pretrain.distortions import distort
from staff.pretrain.loop import Training

RECIPE = 2  # increase it with each change of the network or its training, so that the cache is not used for it


class JudgeNet(nn.Module):
    """Three convolutions, a layer of F = 128 features, ten logits; 0.24 M parameters."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            *_conv(1, 32, kernel=5, stride=2),  # 28x28 -> 14x14
            *_conv(32, 64, kernel=3),
            nn.MaxPool2d(2),  # -> 7x7
            *_conv(64, 128, kernel=3),
            nn.MaxPool2d(2),  # -> 3x3
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(128 * 3 * 3, 128, bias=False),
            nn.BatchNorm1d(128),
            nn.ReLU(),
        )
        self.head = nn.Linear(128, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """float32 (N, 1, 28, 28) in [0, 1] -> logits (N, 10)."""
        return self.head(self.encoder(x))


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(c_out), nn.ReLU()]


class Judge:
    """A trained judge, for ``report.measures.score_samples``."""

    pca = FunctionTransformer()  # all F features enter the Frechet distance

    def __init__(self, net: JudgeNet):
        self.net = net.eval().to(networks.get_device(), memory_format=torch.channels_last)

    def features(self, images: np.ndarray) -> np.ndarray:
        """The penultimate layer: uint8 (N, 1, 28, 28) -> float32 (N, F), not negative."""
        return networks.ae_encode(self.net, images)

    @torch.inference_mode()
    def predict(self, features: np.ndarray) -> np.ndarray:
        """Features float32 (N, F) -> digits, int64 (N,)."""
        return self.net.head(torch.from_numpy(features).to(networks.get_device())).argmax(dim=1).cpu().numpy()


def load_judge(mnist: DataSet) -> tuple[Judge, float]:
    """The judge of the real MNIST, from the cache or freshly trained, and its accuracy on the test images."""
    net, depends_on = JudgeNet(), [RECIPE, files.data_hash(mnist.train, mnist.train_labels)]

    def compute():
        return {name: tensor.cpu().numpy() for name, tensor in train_judge(mnist).state_dict().items()}

    shapes = {name: tuple(weights.shape) for name, weights in net.state_dict().items()}
    arrays = files.cached("judge", depends_on, shapes, compute)
    net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    judge = Judge(net)
    return judge, float(np.mean(judge.predict(judge.features(mnist.test)) == mnist.test_labels))


def train_judge(mnist: DataSet, *, epochs: int = 8, batch: int = 128, seed: int = 0) -> JudgeNet:
    """Train the judge on lightly distorted images.

    The recipe is fixed in advance and the last averaged weights are used, so the test images influence nothing.
    """
    device, (images, labels) = networks.get_device(), map(torch.from_numpy, mnist[:2])
    # Initial weights and dropout draw from the global generator.
    with torch.random.fork_rng(devices=[]), files.scratch("lab-judge-") as folder:
        torch.manual_seed(seed)
        net = JudgeNet().to(device, memory_format=torch.channels_last)
        steps = epochs * (len(images) // batch)
        training = Training(net, "judge", steps, folder, lr=5e-3, seed=seed, ema=0.998)

        def loss(generator):
            index = torch.randint(len(images), (batch,), generator=generator)
            x = distort(images[index].to(device).float() / 255, generator, strength=0.35)
            return F.cross_entropy(net(x.contiguous(memory_format=torch.channels_last)), labels[index].to(device))

        training.run(loss)
    net.load_state_dict(training.averaged)
    return net
