"""Get the data set, prepare it, check the two networks and the device.

    python load_resources.py                                  # MNIST, from the first source that has it
    python load_resources.py --data_dir ~/Downloads/mnist     # from IDX files that you already have
    python load_resources.py --dataset fashion_mnist

The other scripts prepare what they need themselves: you never have to run this one first.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hi_mnist import cli, data, networks, prepare
from hi_mnist.cli import LabError
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
    dataset = prepare.verify(args.dataset, args.data_dir)
    source = data.read_source(dataset)
    print_fact("data set", f"{DATASETS[dataset]}, prepared in {data.prepared_dir(dataset)}")
    print_fact("source", source["source"])
    print_fact("images", f"{source['train']:,} for training, {source['test']:,} for testing")
    sound = report_networks(args.ae, args.ddpm)
    choice = "" if args.dataset in (None, "mnist") else f" --dataset {args.dataset}"
    print(f"next: python train.py --use_pca{choice}")  # even if a network is bad: a PCA run needs none
    return 0 if sound else 2


def report_networks(ae: str | None, ddpm: str | None) -> bool:
    """Print facts about the networks' files and the device; return whether both networks load on it."""
    whole, errors = [], []
    for label, network, source in (("AutoEncoder", AE_NETWORK, ae), ("diffusion", DDPM_NETWORK, ddpm)):
        with reported(errors):
            found = networks.find_network(network, source)
            print_fact(label, f"{networks.count_parameters(found):,} parameters, from {found.name}")
            whole.append(found)
    with reported(errors):
        print_fact("device", str(networks.get_device()))  # imports torch, after everything else is printed
        for found in whole:
            with reported(errors):
                networks.load_found(found)
    return not errors


@contextmanager
def reported(errors: list[LabError]) -> Iterator[None]:
    """Print an error and note it, so that one bad network does not hide the other."""
    try:
        yield
    except LabError as error:
        errors.append(error)
        print(f"error: {cli.explain(error)}", file=sys.stderr, flush=True)


def print_fact(label: str, fact: str) -> None:
    print(f"{label:<12}{fact}", flush=True)


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
