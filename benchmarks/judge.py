"""A judge of digits: a small classifier trained with labels, which tells what the networks' samples show.

    >>> from benchmarks.judge import load_judge
    >>> judge = load_judge()                    # trains once, then reads the cache
    >>> judge.predict(images)                   # uint8 (N, 1, 28, 28) -> int64 (N,)

    python -m benchmarks.judge                  train it (or read it back) and print its test accuracy

Its weights stay in the cache folder and are never shipped: no network of the lab learns from it.
Symbols: N images, F = 128 features. Pixels are 0..255 outside, [0, 1] inside the network.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from hi_mnist import cli, data, files, networks
from hi_mnist.cli import LabError
from hi_mnist.data import N_CLASSES
from staff.augment import distort

MIN_ACCURACY = 0.993  # below it the judge's own mistakes would blur a target of 99 % agreement
CACHE_NAME = "judge-v1.safetensors"  # another recipe takes another name: a cache never answers for it
MNIST_COUNTS = (60_000, 10_000)


class JudgeNet(nn.Module):
    """Three convolutions, a layer of F = 128 features, ten logits; 0.24 M parameters."""

    feature_dim = 128

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            *_conv(1, 32, kernel=5, stride=2),  # 28x28 -> 14x14
            *_conv(32, 64, kernel=3),
            nn.MaxPool2d(2),  # -> 7x7
            *_conv(64, 128, kernel=3),
            nn.MaxPool2d(2),  # -> 3x3
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(128 * 3 * 3, self.feature_dim, bias=False),
            nn.BatchNorm1d(self.feature_dim),
            nn.ReLU(),
        )
        self.head = nn.Linear(self.feature_dim, N_CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """float32 (N, 1, 28, 28) in [0, 1] -> features (N, F) and logits (N, 10)."""
        features = self.body(x)
        return features, self.head(features)


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(),
    ]


@dataclass(frozen=True)
class Judge:
    """A trained judge.

    Attributes:
        net: the network, in evaluation mode.
        test_accuracy: share of the 10,000 real test images that it names rightly, measured when it was loaded.
    """

    net: JudgeNet
    test_accuracy: float

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The digit that each image shows: uint8 (N, 1, 28, 28) -> int64 (N,)."""
        return _run(self.net, images)[1].argmax(axis=1)

    def features(self, images: np.ndarray) -> np.ndarray:
        """The penultimate layer: uint8 (N, 1, 28, 28) -> float32 (N, F), not negative."""
        return _run(self.net, images)[0]


def load_judge() -> Judge:
    """The judge from the cache, or a freshly trained one where there is none.

    Raises:
        LabError: the real MNIST is not prepared, the cache is damaged, or the judge is too weak.
    """
    train, test = data.load_split("train"), data.load_split("test")
    if (len(train[0]), len(test[0])) != MNIST_COUNTS:
        raise LabError(
            f"the judge needs the real MNIST (60,000 + 10,000 images), {data.prepared_dir('mnist')} holds "
            f"{len(train[0]):,} + {len(test[0]):,}; get it with: python load_resources.py --dataset mnist"
        )
    path = files.cache_dir() / CACHE_NAME
    if path.exists():
        net = _read(path)
    else:
        net = train_judge(torch.from_numpy(train[0]), torch.from_numpy(train[1]))
        with files.atomic_path(path) as partial:
            # safetensors refuses the channels_last strides of a trained network
            safetensors.torch.save_file({k: v.contiguous() for k, v in net.state_dict().items()}, partial)
    # Measured anew each time: neither the file nor the data need be what they were.
    judge = Judge(net, float(np.mean(_run(net, test[0])[1].argmax(axis=1) == test[1])))
    if judge.test_accuracy < MIN_ACCURACY:
        raise LabError(
            f"the judge names {judge.test_accuracy:.2%} of the test images rightly, {MIN_ACCURACY:.1%} is needed; "
            f"delete {path} to train it anew"
        )
    return judge


def train_judge(images: Tensor, labels: Tensor, *, epochs: int = 8, batch: int = 128, seed: int = 0) -> JudgeNet:
    """Train the judge on lightly distorted images; the weights are a moving average over the last few epochs.

    The recipe is fixed in advance and the last weights are taken, so the test images choose nothing.

    Args:
        images: uint8 (N, 1, 28, 28).
        labels: int64 (N,).

    Returns:
        The network, in evaluation mode, on the best device.
    """
    device = networks.get_device()
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):  # initial weights and dropout draw from the global generator
        torch.manual_seed(seed)
        net = JudgeNet().to(device, memory_format=torch.channels_last)
        average = torch.optim.swa_utils.AveragedModel(
            net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True
        )
        steps = epochs * (len(images) // batch)
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps, pct_start=0.2)
        net.train()
        with tqdm(total=steps, desc="training the judge", unit="step", dynamic_ncols=True, mininterval=1) as bar:
            for _ in range(epochs):
                order = torch.randperm(len(images), generator=generator)
                for index in order[: len(order) // batch * batch].split(batch):
                    x = distort(images[index].to(device).float() / 255, generator, strength=0.35)
                    logits = net(x.contiguous(memory_format=torch.channels_last))[1]
                    loss = F.cross_entropy(logits, labels[index].to(device))
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    optimizer.step()
                    rate.step()
                    average.update_parameters(net)
                    bar.update()
                    if bar.n % 50 == 0:
                        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return average.module.eval()


def _read(path: Path) -> JudgeNet:
    net = JudgeNet()
    tensors = files.read_tensors(path, tuple(net.state_dict()), f"delete {path} to train the judge anew")
    try:
        net.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
    except RuntimeError as error:
        cause = " ".join(str(error).split())[:160]
        raise LabError(f"{path} is not this judge ({cause}); delete it to train the judge anew") from None
    return net.eval().to(networks.get_device(), memory_format=torch.channels_last)


@torch.inference_mode()
def _run(net: JudgeNet, images: np.ndarray, batch: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 1, 28, 28) -> features float32 (N, F) and logits float32 (N, 10)."""
    if images.dtype != np.uint8:  # float images in [0, 1] would pass silently as almost black ones
        raise TypeError(f"the judge takes uint8 images of 0..255, got {images.dtype}")
    device = next(net.parameters()).device
    outputs = []
    for block in torch.from_numpy(np.ascontiguousarray(images)).split(batch):
        x = block.to(device).float() / 255
        outputs.append([y.cpu() for y in net(x.contiguous(memory_format=torch.channels_last))])
    features, logits = (torch.cat(parts).numpy() for parts in zip(*outputs, strict=True))
    return features, logits


def main(argv: list[str] | None = None) -> int:
    parser = cli.one_line_errors(
        argparse.ArgumentParser(
            prog="python -m benchmarks.judge",
            description="Train the judge of the networks' samples, or read it from the cache, and print its accuracy.",
        )
    )
    parser.parse_args(argv)
    judge = load_judge()
    print(f"judge: {judge.test_accuracy:.2%} of the 10,000 real test images named rightly")
    print(f"cached in {files.cache_dir() / CACHE_NAME}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
