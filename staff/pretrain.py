"""Train the two networks that the lab ships, from the real MNIST training images.

    python -m staff.pretrain ae      writes pretrained/mnist-ae/
    python -m staff.pretrain ddpm    writes pretrained/mnist-ddpm/

Both show progress and the loss, save a checkpoint to the work folder every minute, and continue from it when they are
started again after Ctrl-C or a kill (``--restart`` starts over). ``--dataset digits --steps 6`` shows in seconds that
training works; such weights are not written to ``pretrained/`` unless ``--out`` says so.

The autoencoder learns without labels, in three stages, each a function that takes images only, uint8 (N, 1, 28, 28):

1. ``learn_features``: a contrastive encoder that recognises an image under random distortions
   (InfoNCE; van den Oord et al. 2018, arXiv 1807.03748; Chen et al. 2020, arXiv 2002.05709);
2. ``lay_out``: UMAP of those features, a plane that keeps neighbours together (McInnes et al. 2018, arXiv 1802.03426);
3. ``fit_autoencoder``: encoder and decoder together; the encoder is drawn to the plane (the neighbourhood term)
   while the decoder reconstructs the image from its two numbers.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from hi_mnist import cli, data, files, prepare
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS
from hi_mnist.files import ROOT
from hi_mnist.holders import lock
from hi_mnist.networks import get_device, save_network
from hi_mnist.settings import add_flags, from_args, setting
from model import AE, ClassUNet, add_noise, cosine_schedule
from staff.augment import distort

CHECKPOINT_SECONDS = 60


# --------------------------------------------------------------------------- the loop that all stages share


class Training:
    """Optimiser, learning-rate schedule, moving average, checkpoint and progress bar of one stage.

    Args:
        net: what is trained.
        name: file name of the checkpoint and label of the progress bar.
        steps: number of optimiser steps.
        work_dir: folder of the checkpoint.
        lr: peak learning rate; it rises for 2 % of the steps and falls linearly over the last ``decay``.
        ema: decay of the moving average of the weights, ``averaged``; 0 keeps the last weights.
    """

    def __init__(self, net: nn.Module, name: str, steps: int, work_dir: Path, *, lr: float, seed, ema=0.0, decay=0.4):
        self.net, self.name, self.steps = net, name, steps
        self.path = work_dir / f"{name}.ckpt"
        self.optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-4)
        self.peak, self.warmup, self.decay = lr, max(1, steps // 50), max(1, int(decay * steps))
        self.ema = ema
        self.averaged = {k: v.detach().clone() for k, v in net.state_dict().items()}
        self.generator = torch.Generator().manual_seed(seed)
        self.step = 0
        if self.path.exists():
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            net.load_state_dict(state["net"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"])
            self.step = state["step"]
            self.averaged = {k: v.to(self.averaged[k].device) for k, v in state["averaged"].items()}

    def save(self) -> None:
        state = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "averaged": self.averaged}
        state |= {"generator": self.generator.get_state(), "step": self.step}
        with files.atomic_path(self.path) as partial:
            torch.save(state, partial)

    def run(self, loss_of_step: Callable[[torch.Generator], Tensor]) -> None:
        """Take the remaining steps; ``loss_of_step(generator)`` returns the loss of one batch."""
        self.net.train()
        saved = time.monotonic()
        bar = tqdm(total=self.steps, initial=self.step, desc=self.name, unit="step", dynamic_ncols=True, mininterval=1)
        try:
            while self.step < self.steps:
                rise, fall = (self.step + 1) / self.warmup, (self.steps - self.step) / self.decay
                for group in self.optimizer.param_groups:
                    group["lr"] = self.peak * min(1.0, rise, fall)
                loss = loss_of_step(self.generator)
                if not torch.isfinite(loss):
                    what = f"the loss is {loss.item()} at step {self.step}"
                    raise LabError(f"{self.name}: {what}; start again with --restart and a lower --lr")
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
                self.optimizer.step()
                self._average()
                self.step += 1
                bar.update()
                bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self.save()
                    saved = time.monotonic()
        except KeyboardInterrupt:
            self.save()
            raise
        finally:
            bar.close()
        self.save()
        self.net.eval()

    def _average(self) -> None:
        # A young average forgets faster; otherwise the random first weights would stay in it for long.
        decay = min(self.ema, (1 + self.step) / (10 + self.step))
        for key, value in self.net.state_dict().items():
            if value.is_floating_point():
                self.averaged[key].lerp_(value, 1 - decay)
            else:
                self.averaged[key].copy_(value)


# --------------------------------------------------------------------------- autoencoder, without labels


class Contrast(nn.Module):
    """The AE's encoder without its last layer, and a projection head for the contrastive loss."""

    def __init__(self):
        super().__init__()
        self.trunk = AE().encoder[:-1]
        self.head = nn.Sequential(nn.Linear(AE.feature_dim, AE.feature_dim), nn.ReLU(), nn.Linear(AE.feature_dim, 64))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.head(self.trunk(x)), dim=1)


def info_nce(a: Tensor, b: Tensor, temperature: float = 0.15) -> Tensor:
    """The contrastive loss of two views (N, p) of N images: each must find its partner among 2N - 1 others."""
    views = torch.cat([a, b])
    similarity = views @ views.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    return F.cross_entropy(similarity, torch.arange(len(views), device=a.device).roll(len(a)))


def learn_features(images: Tensor, *, steps, batch, seed, work_dir, device) -> Contrast:
    """Stage 1: an encoder, in evaluation mode, whose features do not change when a digit is distorted."""
    torch.manual_seed(seed)
    net = Contrast().to(device, memory_format=torch.channels_last)
    training = Training(net, "ae-1-features", steps, work_dir, lr=2e-3, seed=seed, decay=0.7)

    def loss(generator):
        x = images[torch.randint(len(images), (batch,), generator=generator)].to(device).float() / 255
        views = torch.cat([distort(x, generator), distort(x, generator)])
        return info_nce(*net(views.contiguous(memory_format=torch.channels_last)).chunk(2))

    training.run(loss)
    return net


@torch.inference_mode()
def encode_features(net: Contrast, images: Tensor, device, views: int = 8, seed: int = 0) -> np.ndarray:
    """Features averaged over lightly distorted views: float32 (N, 256), rows of length one."""
    generator = torch.Generator().manual_seed(seed)
    out = []
    for block in tqdm(images.split(1000), desc="features", unit="block"):
        x = block.to(device).float() / 255
        total = F.normalize(net.trunk(x), dim=1)
        for _ in range(views):
            total = total + F.normalize(net.trunk(distort(x, generator, strength=0.4)), dim=1)
        out.append(F.normalize(total, dim=1).cpu())
    return torch.cat(out).numpy()


def lay_out(features: np.ndarray, images: Tensor, *, seed: int, pixel_weight: float = 0.1) -> np.ndarray:
    """Stage 2: a plane in which neighbours stay neighbours.

    The features alone split a rare way of writing a digit (the crossed seven) off as an island, and where an island
    lands is chance. In raw pixels its neighbours have the common form, so that graph is added with a small weight.

    Args:
        features: float32 (N, 256), from ``encode_features``.
        pixel_weight: weight of a pixel neighbour against a feature neighbour.

    Returns:
        float32 (N, 2), centred, standard deviation 1.
    """
    import umap  # imported late: it takes seconds to compile, and only staff need it
    from sklearn.decomposition import PCA
    from umap.umap_ import find_ab_params, simplicial_set_embedding

    pixels = data.flatten(images.numpy()).astype(np.float32)
    pixels = PCA(min(50, *pixels.shape), svd_solver="covariance_eigh").fit_transform(pixels)
    graph_only = {"random_state": seed, "n_jobs": 1, "transform_mode": "graph", "verbose": True}
    by_pixels = umap.UMAP(n_neighbors=15, **graph_only).fit(pixels).graph_
    by_features = umap.UMAP(n_neighbors=30, metric="cosine", **graph_only).fit(features).graph_
    a, b = find_ab_params(spread=1.0, min_dist=0.0)
    layout = {"initial_alpha": 1.0, "a": a, "b": b, "gamma": 1.0, "negative_sample_rate": 5, "n_epochs": 200}
    unused = {"metric": "euclidean", "metric_kwds": {}, "densmap": False, "densmap_kwds": {}, "output_dens": False}
    graph = by_features.maximum(pixel_weight * by_pixels).tocoo()
    rng = np.random.RandomState(seed)
    plane, _ = simplicial_set_embedding(
        features, graph, n_components=2, init="spectral", random_state=rng, verbose=True, **layout, **unused
    )
    return ((plane - plane.mean(0)) / plane.std()).astype(np.float32)


def fit_autoencoder(images: Tensor, plane: Tensor, net: Contrast, *, steps, batch, seed, work_dir, device) -> AE:
    """Stage 3: train encoder and decoder together.

    The encoder starts from that of stage 1. The loss is the squared distance of a (lightly distorted) image's code to
    its place in the plane, float32 (N, 2), plus the reconstruction error of the image itself.
    """
    torch.manual_seed(seed)
    ae = AE().to(device, memory_format=torch.channels_last)
    ae.encoder[:-1].load_state_dict(net.trunk.state_dict())
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


def train_ae(images: Tensor, *, args: "AeOptions", work_dir: Path, device) -> AE:
    """Run all three stages; finished ones are read back. Takes images, never labels."""
    common = {"seed": args.seed, "work_dir": work_dir, "device": device}
    contrast = learn_features(images, steps=args.contrast_steps, batch=args.contrast_batch, **common)
    weights = [value.cpu().numpy() for value in contrast.state_dict().values()]
    key, width = [files.data_hash(images.numpy(), *weights)], AE.feature_dim
    features = _cached("features", key, width, lambda: encode_features(contrast, images, device))
    key = [files.data_hash(features, images.numpy()), args.seed]
    plane = _cached("plane", key, 2, lambda: lay_out(features, images, seed=args.seed))
    return fit_autoencoder(images, torch.from_numpy(plane), contrast, steps=args.steps, batch=args.batch, **common)


def _cached(name: str, key: list, width: int, compute: Callable[[], np.ndarray]) -> np.ndarray:
    return files.cached(f"pretrain-{name}", key, {name: (None, width)}, lambda: {name: compute()})[name]


# --------------------------------------------------------------------------- diffusion


def train_ddpm(images: Tensor, labels: Tensor, *, args: "DdpmOptions", work_dir: Path, device) -> ClassUNet:
    """Train the class-conditional diffusion model on images uint8 (N, 1, 28, 28) and labels int64 (N,).

    While it trains, one label in ten is replaced by the null class.
    """
    torch.manual_seed(args.seed)
    net = ClassUNet().to(device, memory_format=torch.channels_last)
    schedule = cosine_schedule()
    training = Training(net, "ddpm", args.steps, work_dir, lr=args.lr, seed=args.seed, ema=0.9995)

    def loss(generator):
        index = torch.randint(len(images), (args.batch,), generator=generator)
        x0 = images[index].to(device).float() / 127.5 - 1
        keep = torch.rand(args.batch, generator=generator) >= 0.1
        classes = torch.where(keep, labels[index], net.num_classes).to(device)
        # Stratified steps: every batch covers the whole process, which calms the gradient.
        t = (torch.arange(args.batch) + torch.rand(args.batch, generator=generator)) / args.batch * 1000
        t = t.long().clamp(max=999).to(device)
        noise = torch.randn(x0.shape, generator=generator).to(device)
        noisy, velocity = add_noise(x0, noise, t, schedule)
        return F.mse_loss(net(noisy.contiguous(memory_format=torch.channels_last), t, classes), velocity)

    training.run(loss)
    net.load_state_dict(training.averaged)
    return net.eval()


# --------------------------------------------------------------------------- command line


@dataclass
class Options:
    """The flags of both networks."""

    dataset: str = setting("mnist", "training data; the shipped networks were trained on mnist", choices=DATASETS)
    out: str | None = setting(None, "folder for the weights (default: its folder in pretrained/)", metavar="DIR")
    work_dir: str | None = setting(None, "folder of the checkpoints (default: pretrain_work/)", metavar="DIR")
    data_dir: str | None = setting(None, "folder of the MNIST IDX files (default: MNIST_DIR)", metavar="DIR")
    seed: int = setting(0, "random seed", low=0, high=2**32 - 1)
    device: str | None = setting(None, "cuda, mps or cpu (default: the best available)")
    restart: bool = setting(False, "forget the checkpoints")


@dataclass
class AeOptions(Options):
    """The flags of the autoencoder."""

    contrast_steps: int = setting(4000, "steps of stage 1", low=1)
    contrast_batch: int = setting(512, "images per step of stage 1", low=1)
    steps: int = setting(4000, "steps of stage 3", low=1)
    batch: int = setting(256, "images per step of stage 3", low=1)


@dataclass
class DdpmOptions(Options):
    """The flags of the diffusion model."""

    steps: int = setting(10_000, "training steps", low=1)
    batch: int = setting(64, "images in a step", low=1)
    lr: float = setting(1e-3, "peak learning rate", above=0)


NETWORKS = {
    "ae": (AeOptions, "the autoencoder, without labels (about 45 minutes on two cores)"),
    "ddpm": (DdpmOptions, "the class-conditional diffusion model (90 minutes on one core of two)"),
}


def build_parser() -> argparse.ArgumentParser:
    about = "Train the networks that the lab ships, from the real MNIST training images."
    example = "python -m staff.pretrain ddpm --steps 4000 --out my-ddpm"
    parser = cli.make_parser("python -m staff.pretrain", about, example)
    networks = parser.add_subparsers(dest="network", required=True)
    for network, (options, about) in NETWORKS.items():
        add_flags(cli.one_line_errors(networks.add_parser(network, help=about)), options)
    return parser


def main(argv: list[str] | None = None) -> int:
    parsed = build_parser().parse_args(argv)
    network, name = parsed.network, f"mnist-{parsed.network}"
    args = from_args(NETWORKS[network][0], parsed)
    work_dir = Path(args.work_dir) if args.work_dir else files.lab_home() / "pretrain_work"
    out = Path(args.out or (ROOT / "pretrained" if args.dataset == "mnist" else work_dir) / name)
    work_dir.mkdir(parents=True, exist_ok=True)
    prepare.ensure(args.dataset, data_dir=args.data_dir)
    device = get_device(args.device)
    images, labels = map(torch.from_numpy, data.load_split("train", args.dataset))
    start = time.monotonic()
    with lock(work_dir / f"{network}.lock", f"{network} in {work_dir}"):
        if args.restart:
            for checkpoint in work_dir.glob(f"{network}*.ckpt"):
                checkpoint.unlink()
        common = {"args": args, "work_dir": work_dir, "device": device}
        net = train_ae(images, **common) if network == "ae" else train_ddpm(images, labels, **common)
        save_network(net, out)
    print(f"{name}: {sum(p.numel() for p in net.parameters()):,} parameters, on {device}")
    print(f"wrote {out} after {(time.monotonic() - start) / 60:.1f} minutes of this run")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
