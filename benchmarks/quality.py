"""Measure the two shipped networks; the figures in their model cards come from here.

    python -m benchmarks.quality ae                         clusters, reconstructions
    python -m benchmarks.quality ddpm                       agreement, Frechet distance, diversity
    python -m benchmarks.quality ddpm --steps 50 --guidance 0 0.5 1 1.5 --per_class 20      a quick look

Reference figures (PCA, a mixture's samples, real images against real images) are measured in the same run.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import quality_ae, quality_ddpm
from benchmarks.judge import load_judge
from hi_mnist import cli, files, prepare
from hi_mnist.cli import LabError
from hi_mnist.data import DataSet, load_data_set
from hi_mnist.networks import (
    AE_NETWORK,
    DDPM_NETWORK,
    DDPM_STEPS,
    DEFAULT_GUIDANCE,
    load_ae,
    load_ddpm,
    network_source,
)
from hi_mnist.settings import add_flags, from_args, setting


@dataclass
class Drawing:
    per_class: int = setting(100, "samples per digit", low=2, high=5_000)
    batch: int = setting(200, "samples drawn at a time", low=1)
    seed: int = setting(0, "seed of the samples", low=0, high=2**32 - 1)


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(
        "python -m benchmarks.quality",
        "Measure the two shipped networks.",
        "python -m benchmarks.quality ddpm --steps 50 --guidance 0 0.5 1 --per_class 20",
    )
    networks = parser.add_subparsers(dest="network", required=True)
    ae = networks.add_parser("ae", help="the AutoEncoder: clusters, reconstructions (about two minutes)")
    ddpm = networks.add_parser("ddpm", help="the diffusion model: agreement, Frechet distance, diversity")
    ddpm.add_argument("--steps", type=int, nargs="+", default=[DDPM_STEPS, 50],
                      help="steps to measure; 1000 is ancestral, fewer is DDIM (default: 1000 50)")  # fmt: skip
    ddpm.add_argument("--guidance", type=float, nargs="+", default=[0.0, DEFAULT_GUIDANCE],
                      help="weights of classifier-free guidance (default: 0 and the lab's own)")  # fmt: skip
    ddpm.add_argument("--interval", type=float, nargs=2, action="append", default=[], metavar=("LOW", "HIGH"),
                      help="part of the process in which guidance acts, 0 clean to 1 noise; may be repeated "
                      "(default: the lab's own)")  # fmt: skip
    add_flags(ddpm, Drawing)
    ddpm.add_argument("--pictures", type=Path, metavar="DIR", help="folder for the samples (default: cache/networks)")
    for name, network in (("ae", ae), ("ddpm", ddpm)):
        cli.one_line_errors(network)  # a subparser does not inherit this from its parent
        cli.add_options(network, name)
        network.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    return parser


def prepared(dataset: str) -> DataSet:
    """A data set; fetched first if it is missing."""
    prepare.ensure(dataset)
    return load_data_set(dataset)


def run_ae(args) -> dict:
    ae = load_ae(args.ae)
    return quality_ae.measure(ae, prepared("mnist"), prepared("digits"))


def run_ddpm(args) -> dict:
    ways, drawing = quality_ddpm.combine(args.steps, args.guidance, args.interval), from_args(Drawing, args)
    folder = (args.pictures or files.cache_dir() / "networks").expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    net, mnist = load_ddpm(args.ddpm), prepared("mnist")
    judge, accuracy = load_judge(mnist)
    figures, samples = quality_ddpm.measure(net, judge, mnist, ways, **asdict(drawing))
    for name, tiles in samples.items():
        save_sheet(tiles, folder / f"ddpm_{name}.png")
    return {"judge_test_accuracy": accuracy} | asdict(drawing) | figures | {"pictures": str(folder)}


def save_sheet(tiles: np.ndarray, path: Path, zoom: int = 2) -> None:
    """Save images uint8 (rows, columns, 28, 28) as one picture."""
    # Grey lines between the tiles make a veil on the black background visible.
    framed = np.pad(tiles, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=70)
    sheet = np.concatenate(np.concatenate(framed, axis=-2), axis=-1).repeat(zoom, axis=0).repeat(zoom, axis=1)
    with files.atomic_path(path) as partial:
        Image.fromarray(sheet).save(partial)


def show(figures: dict) -> None:
    """Print the single figures, and the rows as a table."""
    for name, value in figures.items():
        if name != "rows":
            print(f"{name.replace('_', ' ')}: {format(value, '.4g') if isinstance(value, float) else value}")
    rows = figures["rows"]
    columns = dict.fromkeys(name for row in rows.values() for name, value in row.items() if isinstance(value, float))
    width = max(map(len, rows))
    print(f"\n{'':{width}}" + "".join(f"  {name:>12}" for name in columns))
    for name, row in rows.items():
        print(f"{name:{width}}" + "".join(f"  {format(row[c], '.4g') if c in row else '':>12}" for c in columns))


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.json is not None and not args.json.expanduser().resolve().parent.is_dir():
        raise LabError(f"--json: there is no folder {args.json.expanduser().resolve().parent}; create it first")
    run, network = {"ae": (run_ae, AE_NETWORK), "ddpm": (run_ddpm, DDPM_NETWORK)}[args.network]
    source = network_source(network, getattr(args, args.network))
    figures = {"network": args.network, "source": source} | run(args)
    if args.json is not None:  # first of all: a closed pipe must not lose an hour's figures
        files.write_text(args.json.expanduser().resolve(), json.dumps(figures, indent=1) + "\n")
    show(figures)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
