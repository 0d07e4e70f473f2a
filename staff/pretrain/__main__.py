"""Train the two networks that the lab ships, from the real MNIST training images, measure them and write their cards.

    python -m staff.pretrain ae      three seeds of the autoencoder; pretrained/mnist-ae/ gets the one chosen
    python -m staff.pretrain ddpm    the diffusion model and its judge; pretrained/mnist-ddpm/

Both show progress and the loss, keep checkpoints and log.csv in the work folder, and go on from there when they are
started again after Ctrl-C or a kill (``--restart`` starts over). No label is seen before the autoencoder is chosen.
Unless ``--out`` says so, ``pretrained/`` gets only what the default settings make; the rest stays in the work folder.
To see in a minute that training works:

    python -m staff.pretrain ae --dataset digits --seeds 1 --contrast_steps 6 --cluster_steps 6 --steps 6
"""

import argparse
import dataclasses
import functools
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hi_mnist import cli, files, prepare
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS, load_data_set
from hi_mnist.files import ROOT
from hi_mnist.networks import get_device, load_ae, load_ddpm, save_network
from hi_mnist.settings import add_flags, from_args, setting
from labs.shared import has_umap
from staff.holders import lock
from staff.pretrain import autoencoder, card, diffusion, quality
from staff.pretrain.judge import load_judge

PLACES = ("out", "work_dir", "data_dir", "restart")  # settings that change nothing about a network
FREE = (*PLACES, "seeds", "per_class")  # settings that change no training


@dataclass
class Options:
    """The flags of both networks."""

    dataset: str = setting("mnist", "training data; the shipped networks were trained on mnist", choices=DATASETS)
    out: str | None = setting(None, "folder for the network (default: its folder in pretrained/)", metavar="DIR")
    work_dir: str | None = setting(None, "folder of the checkpoints (default: pretrain_work/)", metavar="DIR")
    data_dir: str | None = setting(None, "folder of the MNIST IDX files (default: MNIST_DIR)", metavar="DIR")
    seed: int = setting(0, "random seed", low=0, high=2**32 - 100)
    restart: bool = setting(False, "forget what is in the work folder")


@dataclass
class AeOptions(Options):
    """The flags of the autoencoder."""

    seeds: int = setting(3, "number of networks, with consecutive seeds, to choose from", low=1, high=99)
    contrast_steps: int = setting(4000, "steps of stage 1", low=1)
    contrast_batch: int = setting(512, "images per step of stage 1", low=2)
    cluster_steps: int = setting(1500, "steps of stage 3", low=1)
    steps: int = setting(4000, "steps of stage 4", low=1)
    batch: int = setting(256, "images per step of the stages 3 and 4", low=2)


@dataclass
class DdpmOptions(Options):
    """The flags of the diffusion model."""

    steps: int = setting(15_000, "training steps", low=1)
    batch: int = setting(64, "images in a step", low=1)
    lr: float = setting(1e-3, "peak learning rate", above=0)
    per_class: int = setting(100, "samples per digit and way to draw that are measured", low=2)


NETWORKS = {
    "ae": (AeOptions, "the autoencoder, without labels (half an hour a seed on two cores)"),
    "ddpm": (DdpmOptions, "the class-conditional diffusion model (an hour and a half on two cores)"),
}


def build_parser() -> argparse.ArgumentParser:
    about = "Train the networks that the lab ships, from the real MNIST training images."
    example = "python -m staff.pretrain ddpm --steps 4000 --out my-ddpm"
    parser = cli.make_parser("python -m staff.pretrain", about, example)
    networks = parser.add_subparsers(dest="network", required=True)
    for network, (options, about) in NETWORKS.items():
        add_flags(cli.one_line_errors(networks.add_parser(network, help=about)), options)
    return parser


def trained(folder: Path, args: Options, train: Callable[[], torch.nn.Module]) -> float:
    """Train a network into a folder, unless it is there: the minutes that all runs took together, but for killed ones.

    Raises LabError if the folder holds a training with other settings.
    """
    asked = {name: value for name, value in vars(args).items() if name not in FREE}
    path = folder / "facts.json"
    if not path.exists():  # what else is there belongs to a training of unknown settings
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    facts = {"settings": asked, "minutes": 0.0, "done": False} | files.read_json(path)
    if facts["settings"] != asked:
        what = f"{folder} holds a training with other settings"
        raise LabError(f"{what}; give the same ones, another --work_dir or --restart")
    if not facts["done"]:
        files.write_text(path, json.dumps(facts))  # now: a kill leaves no time for it
        start = time.monotonic()
        try:
            save_network(train(), folder)
            facts["done"] = True
        finally:
            facts["minutes"] += (time.monotonic() - start) / 60
            files.write_text(path, json.dumps(facts))
    return facts["minutes"]


def make_ae(args: AeOptions, work_dir: Path, out: Path, device) -> None:
    """Train all seeds, choose one by its clusters of the training images, and only then look at labels."""
    if not has_umap():
        raise LabError("UMAP is not installed; run: python -m pip install umap-learn")
    mnist, nets, minutes = load_data_set(args.dataset), {}, {}
    images = torch.from_numpy(mnist.train)
    for seed in range(args.seed, args.seed + args.seeds):
        folder, one = work_dir / f"ae-{seed}", dataclasses.replace(args, seed=seed)
        minutes[seed] = trained(folder, one, functools.partial(autoencoder.train, images, one, folder, device))
        nets[seed] = load_ae(folder)
    alike = autoencoder.likeness([quality.clusters_of(net, mnist.train) for net in nets.values()])
    chosen = list(nets)[int(np.argmax(alike))]
    standin, measured = load_data_set(prepare.ensure("digits")), {}
    for (seed, net), likeness in zip(nets.items(), alike, strict=True):
        measured[seed] = quality.measure_ae(net, mnist, standin) | {"likeness": likeness, "minutes": minutes[seed]}
    save_network(nets[chosen], out)
    card.write_ae(out, measured, chosen, mnist)


def make_ddpm(args: DdpmOptions, work_dir: Path, out: Path, device) -> None:
    """Train the diffusion model and its judge, and measure what the one draws by the other."""
    mnist, folder = load_data_set(args.dataset), work_dir / f"ddpm-{args.seed}"
    if args.per_class > (fewest := np.bincount(mnist.train_labels).min()):
        raise LabError(f"per_class must be at most {fewest}, the images of the rarest digit, got {args.per_class}")
    minutes = trained(folder, args, functools.partial(diffusion.train, mnist, args, folder, device))
    net, (judge, accuracy) = load_ddpm(folder), load_judge(mnist)
    measured = quality.measure_ddpm(net, judge, mnist, quality.WAYS, args.per_class)
    save_network(net, out)
    card.write_ddpm(out, measured, accuracy, args.seed, minutes)


def main(argv: list[str] | None = None) -> int:
    parsed = build_parser().parse_args(argv)
    network = parsed.network
    options = NETWORKS[network][0]
    args = from_args(options, parsed)
    work_dir = Path(args.work_dir) if args.work_dir else files.lab_home() / "pretrain_work"
    shipped = all(value == getattr(options, name) for name, value in vars(args).items() if name not in PLACES)
    out = Path(args.out or (ROOT / "pretrained" if shipped else work_dir) / f"mnist-{network}")
    for folder in (work_dir, out):
        folder.mkdir(parents=True, exist_ok=True)
    prepare.ensure(args.dataset, data_dir=args.data_dir)
    device = get_device()
    with lock(work_dir / f"{network}.lock", f"{network} in {work_dir}"):
        for folder in work_dir.glob(f"{network}-[0-9]*") if args.restart else ():
            shutil.rmtree(folder)
        (make_ae if network == "ae" else make_ddpm)(args, work_dir, out, device)
    print(f"wrote {out}, with its card")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
