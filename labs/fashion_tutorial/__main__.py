"""Train the tutorial's autoencoder, and look at its reconstructions and its codes.

    python -m labs.fashion_tutorial              Fashion-MNIST, 5 epochs (half a minute), five or six projections
    python -m labs.fashion_tutorial --check      score the tasks in submission.py

Writes results/fashion_tutorial-<datetime>/: samples.png, losses.png, reconstructions.png, projections.png,
losses.csv, projections.csv, model/ and config.yaml.
"""

import argparse
import dataclasses
import sys

from hi_mnist import cli, files, networks
from hi_mnist.data import DATASETS
from labs import shared

LAB = "fashion_tutorial"


def build_parser() -> argparse.ArgumentParser:
    from labs.fashion_tutorial.tutorial import Settings

    default = Settings()
    parser = shared.build_parser(
        LAB,
        "Train a dense autoencoder on Fashion-MNIST and show its codes in the plane.",
        "examples: python -m labs.fashion_tutorial\n"
        "          python -m labs.fashion_tutorial --latent_dim 2 --epochs 10",
    )
    parser.add_argument(
        "--epochs", type=int, default=default.epochs, help="passes over the images (default: %(default)s)"
    )
    parser.add_argument(
        "--batch_size", type=int, default=default.batch_size, help="images a step (default: %(default)s)"
    )
    parser.add_argument(
        "--learning_rate", type=float, default=default.learning_rate, help="of Adam (default: %(default)s)"
    )
    parser.add_argument(
        "--hidden_dim", type=int, default=default.hidden_dim, help="units of a hidden layer (default: %(default)s)"
    )
    parser.add_argument(
        "--latent_dim", type=int, default=default.latent_dim, help="dimensions of the code (default: %(default)s)"
    )
    parser.add_argument(
        "--dataset",
        choices=list(DATASETS),
        help="what to learn (default: Fashion-MNIST, or the offline stand-in where it cannot be had)",
    )
    parser.add_argument(
        "--data_dir", metavar="DIR", help="folder of the IDX files (default: FASHION_MNIST_DIR, else download)"
    )
    return parser


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse what cannot work before anything slow starts.

    Raises:
        LabError: a value is out of range.
    """
    shared.check_seed(args.seed)
    for name, low, high in (
        ("epochs", 1, 1000),
        ("batch_size", 1, 60_000),
        ("learning_rate", 1e-7, 10),
        ("hidden_dim", 1, 4096),
        ("latent_dim", 2, 784),
    ):
        shared.check_range(f"--{name}", getattr(args, name), low, high)


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    check_arguments(args)
    if args.check:
        from labs.fashion_tutorial.questions import QUESTIONS

        return shared.check_submission(LAB, QUESTIONS)

    from labs.fashion_tutorial import tutorial

    path = shared.run_path(LAB, args.results_path)
    dataset = shared.prepare(["fashion_mnist"], args.dataset, args.data_dir)
    train, test = tutorial.load(dataset)
    print(f"data: {DATASETS[dataset]}, {len(train.images):,} training and {len(test.images):,} test images")
    names = [field.name for field in dataclasses.fields(tutorial.Settings)]
    settings = tutorial.Settings(**{name: getattr(args, name) for name in names})
    result = tutorial.fit(train.images, settings)
    print(f"autoencoder: {settings.epochs} epochs, {result.seconds:.1f} s")
    loss, floor = tutorial.test_loss(result.autoencoder, test.images), tutorial.least_loss(test.images)
    print(f"loss: {result.losses[-1]:.4f} in the last epoch, {loss:.4f} on the test images ({floor:.4f} were perfect)")

    points = tutorial.Split(*(part[: tutorial.N_POINTS] for part in test))
    codes = tutorial.encode(result.autoencoder, points.images)
    done = tutorial.project(codes, settings.seed, announce=lambda name: print(f"projecting: {name}", flush=True))
    for projection in done:
        facts = f"{projection.seconds:8.3f} s   trustworthiness {projection.trustworthiness:.3f}"
        print(f"  {projection.name:<12}{facts}")
    if not tutorial.has_umap():
        print("  UMAP is not installed (python -m pip install umap-learn), so it is left out")

    with files.new_folder(path) as folder:
        for name, figure in (
            ("samples", tutorial.plot_samples(test, dataset)),
            ("losses", tutorial.plot_losses(result, floor)),
            ("reconstructions", tutorial.plot_reconstructions(result.autoencoder, test, dataset)),
            ("projections", tutorial.plot_projections(done, points.labels, dataset)),
        ):
            shared.save_figure(figure, folder / f"{name}.png")
        shared.write_csv(folder / "losses.csv", ["epoch", "loss"], enumerate(result.losses, start=1))
        shared.write_csv(
            folder / "projections.csv",
            ["method", "seconds", "trustworthiness"],
            [(p.name, f"{p.seconds:.4f}", f"{p.trustworthiness:.4f}") for p in done],
        )
        networks.save_network(result.autoencoder, folder / "model")
        shared.write_settings(
            folder / "config.yaml", {"lab": LAB, "dataset": dataset, **dataclasses.asdict(settings), "test_loss": loss}
        )
    print(f"wrote {path}")
    print(f"next: look at projections.png there, then change one number: python -m labs.{LAB} --latent_dim 2")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
