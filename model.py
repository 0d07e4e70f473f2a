"""The lab's two networks and the mathematics of diffusion, in plain torch.

    >>> import torch
    >>> from model import ClassUNet, ddim_sample
    >>> net = ClassUNet.from_pretrained("pretrained/mnist-ddpm").eval()
    >>> images = ddim_sample(net, torch.tensor([6]), steps=50)      # (1, 1, 28, 28) in [-1, 1]

Nothing here reads an argument, a path or an environment variable, and nothing prints.
Symbols: N images, C channels, H x W pixels, T diffusion steps.
"""

import math
import threading
import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

# --------------------------------------------------------------------------- autoencoder


class AE(nn.Module, PyTorchModelHubMixin):
    """Convolutional autoencoder of 28x28 images with a small bottleneck (two numbers by default).

    Args:
        in_channels: channels of the input images.
        embedding_dim: size of the bottleneck, d.
        out_channels: channels of the reconstruction.
    """

    feature_dim = 256  # width of what ``trunk`` returns

    def __init__(self, in_channels: int = 1, embedding_dim: int = 2, out_channels: int = 1):
        super().__init__()
        self.encoder = nn.Sequential(
            *_conv_bn(in_channels, 32, kernel=5),  # 28x28 -> 14x14
            *_conv_bn(32, 48, kernel=3),  # 14x14 -> 7x7
            *_conv_bn(48, 96, kernel=3),  # 7x7 -> 4x4
            nn.Flatten(),
            nn.Linear(96 * 4 * 4, self.feature_dim, bias=False),
            nn.BatchNorm1d(self.feature_dim),
            nn.ReLU(),
            # A linear map of features would leave the codes of doubtful images between the groups, on top of others.
            nn.Linear(self.feature_dim, 128),
            nn.ReLU(),
            nn.Linear(128, 128),
            nn.ReLU(),
            nn.Linear(128, embedding_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(embedding_dim, 256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Linear(256, 48 * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (48, 7, 7)),
            nn.ConvTranspose2d(48, 32, 4, stride=2, padding=1),  # 7x7 -> 14x14
            nn.ReLU(),
            nn.ConvTranspose2d(32, out_channels, 4, stride=2, padding=1),  # 14x14 -> 28x28
            nn.Sigmoid(),
        )

    @property
    def trunk(self) -> nn.Sequential:
        """The encoder up to its features, before the layers that bring them to the plane."""
        return self.encoder[:-5]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and reconstruct.

        Args:
            x: float32 (N, C, 28, 28), pixels in [0, 1].

        Returns:
            The codes, float32 (N, d), and the reconstructions, float32 (N, C, 28, 28) in [0, 1].
        """
        z = self.encoder(x)
        return z, self.decoder(z)


def folded(encoder: nn.Sequential) -> nn.Sequential:
    """The encoder, in evaluation mode, with each batch normalisation folded into the layer before it, for speed."""
    fuse = {nn.BatchNorm2d: fuse_conv_bn_eval, nn.BatchNorm1d: fuse_linear_bn_eval}
    layers: list[nn.Module] = []
    for layer in encoder:
        if type(layer) in fuse:
            layers[-1] = fuse[type(layer)](layers[-1], layer)
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def _conv_bn(c_in: int, c_out: int, kernel: int) -> list[nn.Module]:
    """Halve the resolution: a strided convolution, batch normalisation, ReLU."""
    return [
        nn.Conv2d(c_in, c_out, kernel, stride=2, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(),
    ]


# --------------------------------------------------------------------------- class-conditional U-Net


class ClassUNet(nn.Module, PyTorchModelHubMixin):
    """A small U-Net that predicts the velocity of a class-conditional diffusion process.

    The class enters twice: as constant planes concatenated to the input, as in the lab, and added to
    the time embedding. Class ``num_classes`` is the null class ("no class asked for"), which
    classifier-free guidance needs. The image is folded 2x2 into channels first, so that every
    convolution works at 14x14 or 7x7.

    Args:
        num_classes: number of real classes, K; labels run from 0 to K, K being the null class.
        in_channels: channels of the images.
        class_emb_size: number of class planes.
        channels: width at 14x14.
        inner_channels: width at 7x7.
        emb_dim: size of the time and class embedding.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        class_emb_size: int = 8,
        channels: int = 48,
        inner_channels: int = 128,
        emb_dim: int = 128,
    ):
        super().__init__()
        self.num_classes = num_classes
        self.emb_dim = emb_dim
        c1, c2 = channels, inner_channels
        self.class_planes = nn.Embedding(num_classes + 1, class_emb_size)
        self.class_emb = nn.Embedding(num_classes + 1, emb_dim)
        self.time_mlp = nn.Sequential(nn.Linear(emb_dim, emb_dim), nn.SiLU(), nn.Linear(emb_dim, emb_dim))
        self.fold = nn.PixelUnshuffle(2)
        self.conv_in = nn.Conv2d(4 * in_channels + class_emb_size, c1, 3, padding=1)
        self.down1 = ResBlock(c1, c1, emb_dim)
        self.shrink = nn.Conv2d(c1, c2, 3, stride=2, padding=1)
        self.down2 = ResBlock(c2, c2, emb_dim)
        self.attention = Attention(c2)
        self.middle = ResBlock(c2, c2, emb_dim)
        self.up2 = ResBlock(2 * c2, c2, emb_dim)
        self.grow = nn.ConvTranspose2d(c2, c1, 4, stride=2, padding=1)
        self.up1 = ResBlock(2 * c1, c1, emb_dim)
        self.norm_out = nn.GroupNorm(8, c1)
        self.conv_out = nn.Conv2d(c1, 4 * in_channels, 3, padding=1)
        self.unfold = nn.PixelShuffle(2)
        nn.init.zeros_(self.conv_out.weight)

    def forward(self, x: Tensor, t: Tensor, class_labels: Tensor) -> Tensor:
        """Predict v = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0.

        Args:
            x: noisy images x_t, float32 (N, C, 28, 28), in the scale where clean images are in [-1, 1].
            t: steps, int64 (N,), 0 (almost clean) to T - 1 (noise).
            class_labels: int64 (N,), 0 to K; K asks for no class.

        Returns:
            float32 (N, C, 28, 28), the velocity (Salimans and Ho 2022, arXiv 2202.00512, section 4).
        """
        emb = F.silu(self.time_mlp(sinusoidal_embedding(t, self.emb_dim)) + self.class_emb(class_labels))
        h = self.fold(x)
        planes = self.class_planes(class_labels)[:, :, None, None].expand(-1, -1, *h.shape[2:])
        h1 = self.down1(self.conv_in(torch.cat([h, planes], dim=1)), emb)
        h2 = self.attention(self.down2(self.shrink(h1), emb))
        h = self.middle(h2, emb)
        h = self.grow(self.up2(torch.cat([h, h2], dim=1), emb))
        h = self.up1(torch.cat([h, h1], dim=1), emb)
        return self.unfold(self.conv_out(F.silu(self.norm_out(h))))


class ResBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; the embedding scales and shifts between them."""

    def __init__(self, c_in: int, c_out: int, emb_dim: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.film = nn.Linear(emb_dim, 2 * c_out)
        self.norm2 = nn.GroupNorm(8, c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.shortcut = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.film(emb)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return self.shortcut(x) + h


class Attention(nn.Module):
    """Self-attention over the pixels of a feature map, with four heads."""

    heads = 4

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w).transpose(-1, -2)
        attended = F.scaled_dot_product_attention(qkv[:, 0], qkv[:, 1], qkv[:, 2])  # (N, heads, HW, C/heads)
        return x + self.out(attended.transpose(-1, -2).reshape(n, c, h, w))


def sinusoidal_embedding(t: Tensor, dim: int) -> Tensor:
    """Sines and cosines of t at ``dim / 2`` frequencies from 1 to 1/10,000: int64 (N,) -> float32 (N, dim).

    Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
    """
    frequencies = torch.exp(-math.log(10_000) * torch.arange(dim // 2, device=t.device) / (dim // 2))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


# --------------------------------------------------------------------------- diffusion


class Schedule(NamedTuple):
    """The terms of a diffusion process, float64 tensors of shape (T,), index t = 0 the least noise."""

    betas: Tensor  # variance added at step t
    alphas: Tensor  # 1 - beta_t
    alpha_bars: Tensor  # product of alphas up to t: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps
    posterior_variances: Tensor  # of q(x_{t-1} | x_t, x_0)


def cosine_schedule(steps: int = 1000, offset: float = 0.008) -> Schedule:
    """The squared-cosine schedule: Nichol and Dhariwal 2021 (arXiv 2102.09672), equation 17."""
    grid = torch.arange(steps + 1, dtype=torch.float64) / steps
    curve = torch.cos((grid + offset) / (1 + offset) * math.pi / 2) ** 2
    betas = (1 - curve[1:] / curve[:-1]).clamp(max=0.999)
    alphas = 1 - betas
    alpha_bars = alphas.cumprod(0)
    previous = F.pad(alpha_bars[:-1], (1, 0), value=1.0)
    return Schedule(betas, alphas, alpha_bars, betas * (1 - previous) / (1 - alpha_bars))


def add_noise(x0: Tensor, noise: Tensor, t: Tensor, schedule: Schedule) -> tuple[Tensor, Tensor]:
    """Draw x_t from q(x_t | x_0), with the velocity that the network is to predict.

    Args:
        x0: clean images, float32 (N, C, H, W) in [-1, 1].
        noise: standard normal, the shape of ``x0``.
        t: int64 (N,).
        schedule: the process.

    Returns:
        x_t and v, each float32 (N, C, H, W).
    """
    abar = schedule.alpha_bars.to(x0.device, torch.float32)[t][:, None, None, None]
    signal, sigma = abar.sqrt(), (1 - abar).sqrt()
    return signal * x0 + sigma * noise, signal * noise - sigma * x0


Progress = Callable[[Iterable[int]], Iterable[int]]
Watch = Callable[[int, Tensor, Tensor], None]
# Between two of a thousand steps, the direction of guidance hardly changes: the network is evaluated without the class
# at every fourth step only, and the result serves four. Short samplers evaluate it at every step.
GUIDANCE_REFRESH = 4


@torch.inference_mode()
def ddpm_sample(
    net: ClassUNet,
    labels: Tensor,
    *,
    schedule: Schedule | None = None,
    guidance: float = 0.0,
    guidance_interval: tuple[float, float] = (0.0, 1.0),
    generator: torch.Generator | None = None,
    progress: Progress = iter,
    watch: Watch | None = None,
) -> Tensor:
    """Ancestral sampling through all T steps: Ho et al. 2020 (arXiv 2006.11239), algorithm 2.

    Args:
        net: the trained network, in evaluation mode.
        labels: the classes to draw, int64 (N,).
        schedule: the process; ``cosine_schedule()`` when None.
        guidance: w of classifier-free guidance; 0 uses the conditional model alone.
        guidance_interval: the part of the process, as fractions of T, in which guidance acts.
        generator: a CPU generator that makes the draw repeatable.
        progress: wraps the sequence of steps, for a progress bar.
        watch: called at each step with t, x_t and the x_0 that the network sees in it; the last x_0 is the sample.

    Returns:
        float32 (N, C, 28, 28) in [-1, 1], on the network's device.
    """
    schedule = schedule or cosine_schedule()
    predict = _Denoiser(net, labels, schedule, guidance, guidance_interval, watch, often=True)
    x = predict.noise(generator)
    # Python floats: for a single image, tensor indexing would cost as much as the network.
    alphas, abars = schedule.alphas.tolist(), schedule.alpha_bars.tolist()
    betas, variances = schedule.betas.tolist(), schedule.posterior_variances.tolist()
    for t in progress(range(len(abars) - 1, -1, -1)):
        x0, _ = predict(x, t)
        abar_previous = abars[t - 1] if t else 1.0
        mean = math.sqrt(abar_previous) * betas[t] / (1 - abars[t]) * x0
        mean += math.sqrt(alphas[t]) * (1 - abar_previous) / (1 - abars[t]) * x
        x = mean + math.sqrt(variances[t]) * predict.noise(generator) if t else mean
    return x.clamp(-1, 1)


@torch.inference_mode()
def ddim_sample(
    net: ClassUNet,
    labels: Tensor,
    *,
    steps: int = 50,
    schedule: Schedule | None = None,
    guidance: float = 0.0,
    guidance_interval: tuple[float, float] = (0.0, 1.0),
    generator: torch.Generator | None = None,
    progress: Progress = iter,
    watch: Watch | None = None,
) -> Tensor:
    """Deterministic sampling in a few steps: Song et al. 2021 (arXiv 2010.02502), equation 12 with sigma = 0.

    Args:
        steps: how many of the T steps to visit, 1 to T.
        (the others): as in ``ddpm_sample``.

    Returns:
        float32 (N, C, 28, 28) in [-1, 1], on the network's device.

    Raises:
        ValueError: ``steps`` is not between 1 and T.
    """
    schedule = schedule or cosine_schedule()
    total = len(schedule.alpha_bars)
    if not 1 <= steps <= total:
        raise ValueError(f"steps must be between 1 and {total}, got {steps}")
    predict = _Denoiser(net, labels, schedule, guidance, guidance_interval, watch)
    x = predict.noise(generator)
    times = torch.linspace(total - 1, 0, steps).round().long().tolist()
    abars = schedule.alpha_bars.tolist()
    for i in progress(range(steps)):
        x0, eps = predict(x, times[i])
        abar = abars[times[i + 1]] if i + 1 < steps else 1.0
        x = math.sqrt(abar) * x0 + math.sqrt(1 - abar) * eps
    return x


def to_pixels(images: Tensor, dead_zone: float = 4.0) -> Tensor:
    """Samples as pixels: float32 (N, C, H, W) in [-1, 1] -> uint8, 0..255.

    The last traces of noise would leave the background a few grey levels above black. So the range is stretched until
    ``dead_zone`` levels at either end are saturated, and black is black.
    """
    levels = (images + 1) * 127.5
    stretched = (levels - dead_zone) * (255 / (255 - 2 * dead_zone))
    return stretched.round().clamp(0, 255).to(torch.uint8)


class _Denoiser:
    """What both samplers share: the guided network, turned from v into x_0 and eps."""

    tracing = threading.Lock()  # torch traces one network at a time

    def __init__(self, net, labels, schedule, guidance, interval, watch, often=False):
        self.guidance, self.watch = guidance, watch
        self.device = next(net.parameters()).device
        self.labels = labels.to(self.device)
        self.null = torch.full_like(self.labels, net.num_classes)
        self.both = torch.cat([self.labels, self.null])
        self.abars = schedule.alpha_bars.tolist()
        self.first, self.last = (fraction * len(self.abars) for fraction in interval)
        self.refresh, self.age, self.direction = GUIDANCE_REFRESH if often else 1, 0, None
        self.shape = (len(labels), net.conv_out.out_channels // 4, 28, 28)
        self.net = self._frozen(net) if often and isinstance(net, ClassUNet) and self.device.type == "cpu" else net

    def _frozen(self, net: ClassUNet):
        """The network traced for many calls: the convolutions' weights are laid out for the CPU once, not in each call.

        Untraced code takes a sixth to a fifth longer over a thousand steps. torch.export does not lay the weights out,
        and torch.compile needs a C++ compiler, which students lack.
        """
        example = torch.zeros(self.shape), torch.zeros_like(self.labels), self.labels
        with self.tracing, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated
            return torch.jit.freeze(torch.jit.trace(net, example, check_trace=False))

    def noise(self, generator: torch.Generator | None) -> Tensor:
        return torch.randn(self.shape, generator=generator).to(self.device)

    def __call__(self, x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        n = len(x)
        guided = self.guidance and self.first <= t <= self.last
        if guided and self.age % self.refresh == 0:
            times = torch.full((2 * n,), t, device=self.device)
            v, unconditional = self.net(torch.cat([x, x]), times, self.both).split(n)
            self.direction = self.guidance * (v - unconditional)
        else:
            v = self.net(x, torch.full((n,), t, device=self.device), self.labels)
        if guided:
            v = v + self.direction  # Ho and Salimans 2022 (arXiv 2207.12598), equation 6
            self.age += 1
        signal, sigma = math.sqrt(self.abars[t]), math.sqrt(1 - self.abars[t])
        x0 = (signal * x - sigma * v).clamp(-1, 1)
        if self.watch:
            self.watch(t, x, x0)
        return x0, (x - signal * x0) / sigma
