"""Get the data set, prepare it, check the two networks and the device.

    python load_resources.py                                  # MNIST, from the first source that has it
    python load_resources.py --data_dir ~/Downloads/mnist     # from IDX files that you already have
    python load_resources.py --dataset fashion_mnist

The other scripts prepare what they need themselves: you never have to run this one first.
"""

import argparse
import sys

from hi_mnist import cli, data, networks, prepare
from hi_mnist.data import DATASETS
from hi_mnist.networks import AE_NETWORK, DDPM_NETWORK


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(
        "load_resources.py",
        "Get the data set, prepare it, check the two networks and the device. Running it again changes nothing, "
        "except that it looks for MNIST again if only the stand-in is prepared.",
        "python load_resources.py",
        "python load_resources.py --data_dir ~/Downloads/mnist",
        "python load_resources.py --dataset fashion_mnist",
    )
    cli.add_options(parser, "data_dir")
    text = "the data set to prepare (default: MNIST, or the offline stand-in if MNIST is not available)"
    parser.add_argument("--dataset", choices=list(DATASETS), help=text)
    cli.add_options(parser, "ae", "ddpm")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    dataset = prepare.ensure(args.dataset, args.data_dir, look_again=True)
    source = data.read_source(dataset)
    print_fact("data set", f"{DATASETS[dataset]}, prepared in {data.prepared_dir(dataset)}")
    print_fact("source", source["source"])
    print_fact("images", f"{source['train']:,} for training, {source['test']:,} for testing")
    try:
        report_networks(args.ae, args.ddpm)
    finally:  # even if a network is bad: a PCA run needs none
        choice = "" if args.dataset in (None, "mnist") else f" --dataset {args.dataset}"
        print(f"next: python train.py --use_pca{choice}", flush=True)
    return 0


def report_networks(ae: str | None, ddpm: str | None) -> None:
    """Print where the networks come from and the device, and load both on it. Raises ``LabError``."""
    labels = ("AutoEncoder", "diffusion")
    found = [networks.find_network(AE_NETWORK, ae), networks.find_network(DDPM_NETWORK, ddpm)]
    for label, files in zip(labels, found, strict=True):
        print_fact(label, f"from {files.name}")
    print_fact("device", str(networks.get_device()))  # imports torch, after everything else is printed
    for files in found:
        networks.load_found(files)


def print_fact(label: str, fact: str) -> None:
    print(f"{label:<12}{fact}", flush=True)


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
