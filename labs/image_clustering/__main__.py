"""Tell two kinds of pictures apart without labels: autoencoder, second reduction, clustering.

    python -m labs.image_clustering                        the text's pipeline on digits and clothing
    python -m labs.image_clustering --best                 the best one
    python -m labs.image_clustering --images trainX.npy    on images of your own, uint8 (N, 32, 32, 3)
    python -m labs.image_clustering --compare              the table of improvements
    python -m labs.image_clustering --check                score the tasks in submission.py

Writes results/image_clustering-<datetime>/: submission.csv (id,label), clusters.png, plane.png, losses.csv, model/ and
config.yaml; with --compare comparison.csv and config.yaml.
"""

import argparse
import dataclasses
import sys

import numpy as np

from hi_mnist import cli, files, networks
from hi_mnist.cli import LabError
from hi_mnist.scatter import colours
from labs import shared

LAB = "image_clustering"
REAL = ["mnist", "fashion_mnist"]


def build_parser() -> argparse.ArgumentParser:
    from labs.image_clustering import pipeline

    default = pipeline.Settings()
    parser = shared.build_parser(
        LAB,
        "Sort images into two kinds without labels.",
        "examples: python -m labs.image_clustering --best\n"
        "          python -m labs.image_clustering --images trainX.npy --reduction umap --ensemble 3",
    )
    data = parser.add_argument_group("images")
    data.add_argument(
        "--images", metavar="FILE.npy", help="uint8 (N, 32, 32, 3) (default: digits and clothing, tinted)"
    )
    data.add_argument(
        "--known",
        default="00000",
        metavar="BITS",
        help="labels of the first images, an odd number (default: %(default)s)",
    )
    data.add_argument("--count", type=int, default=9000, help="how many default images (default: %(default)s)")
    data.add_argument(
        "--dataset",
        choices=["mnist", "digits"],
        help="digits of the default images: MNIST beside Fashion-MNIST, or the offline stand-in beside pieces of "
        "photographs (default: the first, or the second where that cannot be had)",
    )
    jobs = parser.add_mutually_exclusive_group()
    jobs.add_argument("--best", action="store_true", help="spectral clustering, the best way of the table in README.md")
    jobs.add_argument("--compare", action="store_true", help="measure all improvements (needs the default images)")
    way = parser.add_argument_group("pipeline (defaults: the text's)")
    numbers = {
        "epochs": "passes over the images",
        "batch_size": "images a step",
        "latent_dim": "numbers in a code, 1,024 or fewer",
        "learning_rate": "of the optimiser",
        "reduced_dim": "dimensions after PCA or SVD; t-SNE and UMAP have two",
        "ensemble": "so many runs with other seeds, then their consensus",
    }
    for name, text in numbers.items():
        value = getattr(default, name)
        way.add_argument(f"--{name}", type=type(value), help=f"{text} (default: {value})")
    choices = {
        "activation": (pipeline.ACTIVATIONS, "between the layers"),
        "loss": (tuple(pipeline.LOSSES), "mean absolute or squared error"),
        "optimizer": (tuple(pipeline.OPTIMIZERS), "of the autoencoder"),
        "reduction": (pipeline.REDUCTIONS, "second reduction"),
        "clusterer": (pipeline.CLUSTERERS, "way to cluster"),
    }
    for name, (values, text) in choices.items():
        way.add_argument(f"--{name}", choices=values, help=f"{text} (default: {getattr(default, name)})")
    return parser


RANGES = {
    "epochs": (1, 10_000),
    "batch_size": (1, 10_000),
    "latent_dim": (2, 1024),
    "learning_rate": (1e-7, 10),
    "reduced_dim": (2, 1024),
    "ensemble": (1, 99),
}


def read_settings(args: argparse.Namespace):
    """The pipeline's settings, checked.

    Raises:
        LabError: a value is out of range, or a package is missing.
    """
    from labs.image_clustering import pipeline

    shared.check_seed(args.seed)
    shared.check_range("--count", args.count, 100, 120_000)
    given = {
        field.name: getattr(args, field.name)
        for field in dataclasses.fields(pipeline.Settings)
        if getattr(args, field.name) is not None
    }
    for name, (low, high) in RANGES.items():
        if name in given:
            shared.check_range(f"--{name}", given[name], low, high)
    settings = dataclasses.replace(pipeline.BEST if args.best else pipeline.Settings(), **given)
    if settings.reduction == "umap":
        pipeline.check_umap()
    if settings.reduction == "svd" and settings.latent_dim < 3:
        raise LabError(f"--reduction svd needs --latent_dim of 3 or more, got {settings.latent_dim}; take pca")
    if args.compare and args.images:
        raise LabError("--compare scores by the kinds of the default images; leave --images out")
    if args.images and args.dataset:
        raise LabError("--dataset chooses the default images; leave it out beside --images")
    return settings


def read_known(text: str) -> np.ndarray:
    """The known labels: "00000" -> int64 (5,) of zeros."""
    if not text or set(text) - {"0", "1"} or len(text) % 2 == 0 or len(text) > 99:
        raise LabError(f"--known must be an odd number of digits 0 or 1, as in 00000, got {text[:20]!r}")
    return np.array([int(digit) for digit in text], np.int64)


def read_images(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Images uint8 (N, 32, 32, 3), their kinds (N,) where they are known, and a description."""
    from labs.image_clustering import pictures

    if args.images:
        return pictures.load_images(args.images), None, args.images
    dataset = "mnist"
    for name in REAL if args.dataset is None else [args.dataset]:
        # By name where the user asked by name; else one that is missing brings the stand-in for both kinds.
        if shared.prepare([name], args.dataset) == "digits":
            dataset = "digits"
            break
    if args.dataset == "mnist":
        shared.prepare(["fashion_mnist"], "fashion_mnist")
    datasets = REAL if dataset == "mnist" else ["digits"]
    if args.known.strip("0"):
        raise LabError(f"--known: the first default images are digits, of kind 0, got {args.known[:20]!r}")
    images, kinds = pictures.two_kinds(datasets, args.count, args.seed)
    if dataset == "mnist":
        return images, kinds, "digits (MNIST) and clothing (Fashion-MNIST), tinted"
    return images, kinds, "stand-in digits and pieces of two photographs (both of scikit-learn), tinted"


# --------------------------------------------------------------------------- pictures


def plot_clusters(images: np.ndarray, labels: np.ndarray, seed: int):
    """Forty pictures of each cluster, drawn at random."""
    from matplotlib.figure import Figure

    rng = np.random.default_rng(seed)
    figure = Figure(figsize=(9.6, 2.7), dpi=100, layout="constrained")
    for k, ax in enumerate(figure.subplots(1, 2)):
        members = np.flatnonzero(labels == k)
        chosen = rng.permutation(members)[:40]
        sheet = np.zeros((40, 32, 32, 3), np.uint8)
        sheet[: len(chosen)] = images[chosen]
        ax.imshow(sheet.reshape(4, 10, 32, 32, 3).transpose(0, 2, 1, 3, 4).reshape(128, 320, 3))
        ax.set_title(f"label {k}: {len(members):,} images", fontsize=10)
        ax.set_axis_off()
    return figure


def plot_plane(points: np.ndarray, labels: np.ndarray):
    """The first two dimensions of what was clustered, (N, d), in two colours."""
    from matplotlib.figure import Figure

    pass  # gone

    figure = Figure(figsize=(6.2, 5), dpi=100, layout="constrained")
    ax = figure.subplots()
    for k, colour in enumerate(colours(2)):
        ax.scatter(*points[labels == k, :2].T, s=5, linewidths=0, alpha=0.6, color=colour, label=f"label {k}")
    ax.legend(markerscale=3, frameon=False)
    ax.set(xticks=[], yticks=[], title="first two dimensions after the second reduction")
    return figure


# --------------------------------------------------------------------------- the two jobs


def do_compare(path, images, kinds, settings, description: str) -> None:
    from labs.image_clustering import compare, pipeline

    reductions = [name for name in pipeline.REDUCTIONS if name != "umap" or pipeline.has_umap()]
    if "umap" not in reductions:
        print("UMAP is not installed (python -m pip install umap-learn), so it is left out")
    rows = compare.compare(images, kinds, settings, reductions, announce=lambda text: print(text, flush=True))
    print(f"\n{'training':<36}{'reduction':<11}{'clusterer':<11}{'loss':>8}{'accuracy':>10}{'seconds':>9}")
    for row in rows:
        loss = "-" if np.isnan(row.loss) else f"{row.loss:.4f}"
        print(
            f"{row.training:<36}{row.reduction:<11}{row.clusterer:<11}{loss:>8}{row.accuracy:>10.4f}{row.seconds:>9.1f}"
        )
    with files.new_folder(path) as folder:
        shared.write_csv(folder / "comparison.csv", compare.Row._fields, rows)
        shared.write_settings(
            folder / "config.yaml", {"lab": LAB, "images": description, **dataclasses.asdict(settings)}
        )


def do_run(path, images, kinds, settings, known: np.ndarray, description: str) -> None:
    from labs.image_clustering import pipeline

    result = pipeline.run(images, settings, known)
    trained, labels = result.trained, result.labels
    print(f"autoencoder: {settings.epochs} epochs, {trained.seconds:.1f} s, loss {trained.losses[-1]:.4f}")
    way = f"{settings.reduction}, {settings.clusterer}"
    if settings.ensemble > 1:
        agreement = [max(np.mean(m == labels), np.mean(m != labels)) for m in result.members]
        way += (
            f", consensus of {settings.ensemble} (they agree with it in {min(agreement):.1%} to {max(agreement):.1%})"
        )
    print(f"clusters: {way}; {(labels == 0).sum():,} of label 0, {(labels == 1).sum():,} of label 1")
    facts = {"lab": LAB, "images": description, **dataclasses.asdict(settings)}
    if kinds is not None:
        facts["accuracy"] = float((labels == kinds).mean())
        print(f"accuracy: {facts['accuracy']:.4f} (the kinds are used for nothing else)")
    with files.new_folder(path) as folder:
        shared.write_csv(folder / "submission.csv", ["id", "label"], enumerate(labels.tolist()))
        shared.save_figure(plot_clusters(images, labels, settings.seed), folder / "clusters.png")
        shared.save_figure(plot_plane(result.plane, labels), folder / "plane.png")
        shared.write_csv(folder / "losses.csv", ["epoch", "loss"], enumerate(trained.losses, start=1))
        networks.save_network(trained.autoencoder, folder / "model")
        shared.write_settings(folder / "config.yaml", facts)


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    settings, known = read_settings(args), read_known(args.known)
    if args.check:
        from labs.image_clustering.questions import QUESTIONS

        return shared.check_submission(LAB, QUESTIONS)
    path = shared.run_path(LAB, args.results_path)
    images, kinds, description = read_images(args)
    print(f"images: {len(images):,}, {description}")
    if args.compare:
        do_compare(path, images, kinds, settings, description)
        print(f"wrote {path}")
        return 0
    do_run(path, images, kinds, settings, known, description)
    print(f"wrote {path}")
    if not args.images and not args.best:
        print(f"next: python -m labs.{LAB} --best, or change one step: --clusterer gmm, --reduction tsne, --loss mse")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
