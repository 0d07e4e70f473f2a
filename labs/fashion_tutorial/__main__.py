"""Train the tutorial's autoencoder, and look at its reconstructions and its codes.

    python -m labs.fashion_tutorial      Fashion-MNIST, 5 epochs (half a minute), five or six projections

README.md tells of all flags and of what a run's folder holds.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from hi_mnist import cli, files, settings
from hi_mnist.data import DATASETS
from labs import shared
from labs.fashion_tutorial.settings import Settings

LAB = "fashion_tutorial"


def build_parser() -> argparse.ArgumentParser:
    text = "Train a dense autoencoder on Fashion-MNIST and show its codes in the plane."
    return shared.build_parser(LAB, Settings, text, "", "--latent_dim 2 --epochs 10", wanted="fashion_mnist")


def run(args: argparse.Namespace, config: Settings, path: Path) -> int:
    from labs.fashion_tutorial import tutorial

    files.check_new_folder(path)
    dataset = shared.prepare("fashion_mnist", args.dataset, args.data_dir)
    train, test = tutorial.load(dataset)
    print(f"data: {DATASETS[dataset]}, {len(train.images):,} training and {len(test.images):,} test images")
    result = tutorial.fit(train.images, config)
    print(f"autoencoder: {config.epochs} epochs, {result.seconds:.1f} s")
    loss, floor = tutorial.test_loss(result.autoencoder, test.images), tutorial.least_loss(test.images)
    print(f"loss: {result.losses[-1]:.4f} in the last epoch, {loss:.4f} on the test images ({floor:.4f} were perfect)")

    points = tutorial.Split(*(part[: tutorial.N_POINTS] for part in test))
    codes = tutorial.encode(result.autoencoder, points.images)
    done = tutorial.project(points, codes, config.seed)
    rows = [(p.name, f"{p.seconds:.4f}", f"{p.trustworthiness:.4f}", f"{p.accuracy:.4f}") for p in done]
    rows += [(name, "", "", f"{accuracy:.4f}") for name, accuracy in tutorial.unprojected(points, codes).items()]
    header = ["method", "seconds", "trustworthiness", "accuracy"]
    print(shared.text_table(header, rows))
    if not shared.has_umap():
        print(shared.NO_UMAP)

    pictures = {
        "samples": tutorial.plot_samples(test, dataset),
        "losses": tutorial.plot_losses(result, floor),
        "reconstructions": tutorial.plot_reconstructions(result.autoencoder, test, dataset),
        "projections": tutorial.plot_projections(done, points.labels, dataset),
    }
    tables = {"losses": (["epoch", "loss"], enumerate(result.losses, start=1)), "projections": (header, rows)}
    facts = {"dataset": dataset, **dataclasses.asdict(config), "test_loss": loss}
    shared.write_run(path, LAB, facts, pictures, tables, result.autoencoder)
    print(f"wrote {path}")
    print(f"next: look at projections.png there, then change one number: python -m labs.{LAB} --latent_dim 2")
    return 0


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    config = settings.from_args(Settings, args)
    if args.check:
        return shared.check_submission(LAB)
    with shared.run_path(LAB, args.results_path) as path:
        return run(args, config, path)


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
