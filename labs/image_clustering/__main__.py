"""Tell two kinds of pictures apart without labels: autoencoder, second reduction, clustering.

    python -m labs.image_clustering --best                             on digits and clothing, in the best way
    python -m labs.image_clustering --compare                          the table of improvements
    python -m labs.image_clustering --convert FOLDER --images FILE     a folder of pictures for --images

README.md tells of all flags and of what a run's folder holds.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np

from hi_mnist import cli, files, settings
from hi_mnist.cli import LabError
from labs import shared
from labs.image_clustering.settings import BEST, REDUCTIONS, Options, Settings

LAB = "image_clustering"


def build_parser() -> argparse.ArgumentParser:
    text = "Sort images into two kinds without labels. The defaults are the text's."
    parser = shared.build_parser(LAB, Settings, text, "--best", "--images trainX.npy --reduction umap --ensemble 3")
    settings.add_flags(parser, Options)
    text = "mnist: beside Fashion-MNIST; digits: the stand-in, beside pieces of photographs (default: what can be had)"
    parser.add_argument("--dataset", type=str.lower, choices=["mnist", "digits"], help=text)
    jobs = parser.add_mutually_exclusive_group()
    chosen = " ".join(f"--{name} {value}" for name, value in BEST.items())
    jobs.add_argument("--best", action="store_true", help=f"the way that --choose found: {chosen}")
    jobs.add_argument("--compare", action="store_true", help="measure all improvements (needs the default images)")
    jobs.add_argument("--choose", action="store_true", help="rank the ways without labels: by agreement of seeds")
    jobs.add_argument("--convert", metavar="FOLDER", help="make the file that --images names from pictures, and stop")
    return parser


def read_images(options: Options, dataset: str | None, seed: int) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Images uint8 (N, 32, 32, 3), their kinds (N,) where they are known, and a description."""
    from labs.image_clustering import pictures

    if options.images:
        return pictures.load_images(options.images), None, options.images
    # By name where the user asked by name; else one that is missing brings the stand-in for both kinds.
    datasets = ["mnist", "fashion_mnist"] if dataset != "digits" else ["digits"]
    if "digits" in (shared.prepare(name, dataset and name) for name in datasets):
        datasets = ["digits"]
    images, kinds = pictures.two_kinds(datasets, options.count, seed, options.classes)
    both = "digits (MNIST) and clothing (Fashion-MNIST)"
    standin = "stand-in digits and pieces of two photographs (both of scikit-learn)"
    return images, kinds, f"{both if len(datasets) == 2 else standin}, tinted"


def do_compare(path, images, kinds, config: Settings, facts: dict) -> None:
    from labs.image_clustering import compare, pictures

    reductions = [name for name in REDUCTIONS if name != "umap" or shared.has_umap()]
    if "umap" not in reductions:
        print(shared.NO_UMAP)
    rows, made = compare.compare(images, kinds, config, reductions)
    figure = pictures.plot_reconstructions(images, made)
    shared.write_run(path, LAB, facts, {"reconstructions": figure}, {"comparison": (compare.Row._fields, rows)})


def do_run(path, images, kinds, config: Settings, facts: dict, known: np.ndarray) -> None:
    from labs.image_clustering import pictures, pipeline

    labels, plane, trained, members = pipeline.run(images, config, known)
    made, errors = pipeline.reconstruct(trained.autoencoder, pipeline.as_tensor(images))
    facts["l1_error"] = float(errors.mean())
    if kinds is not None:
        facts["accuracy"] = float((labels == kinds).mean())
    figures = {
        "reconstructions": pictures.plot_reconstructions(images, {"reconstructions": made}, errors),
        "clusters": pictures.plot_clusters(images, labels, config.seed),
        "plane": pictures.plot_plane(plane, labels),
    }
    losses = ["epoch", "loss"], enumerate(trained.losses, start=1)
    tables = {"submission": (["id", "label"], enumerate(labels.tolist())), "losses": losses}
    shared.write_run(path, LAB, facts, figures, tables, trained.autoencoder)
    loss = f"loss {trained.losses[-1]:.4f}, L1 error of the reconstructions {facts['l1_error']:.4f}"
    print(f"autoencoder: {config.epochs} epochs, {trained.seconds:.1f} s, {loss}")
    way = f"{config.reduction}, {config.clusterer}"
    if config.ensemble > 1:
        agreement = [max(np.mean(m == labels), np.mean(m != labels)) for m in members]
        way += f", consensus of {config.ensemble} (they agree with it in {min(agreement):.1%} to {max(agreement):.1%})"
    print(f"clusters: {way}; {(labels == 0).sum():,} of label 0, {(labels == 1).sum():,} of label 1")
    if kinds is not None:
        print(f"accuracy: {facts['accuracy']:.4f} (the kinds are used for nothing else)")


def do_convert(folder: str, images: str | None) -> int:
    from labs.image_clustering import pictures

    if not images:
        raise LabError(f"--convert makes a file; name it: --convert {folder} --images trainX.npy")
    file = Path(images).expanduser().resolve()
    if file.exists():
        raise LabError(f"--images {file} exists and is not overwritten; name another file")
    print(f"wrote {file}: {pictures.convert(folder, file):,} images")
    print("next: give the first files' kinds, 0 or 1, in the order of the names: --images FILE --known 00000")
    return 0


def run(args: argparse.Namespace, options: Options, config: Settings, path: Path) -> int:
    files.check_new_folder(path)
    images, kinds, description = read_images(options, args.dataset, config.seed)
    print(f"images: {len(images):,}, {description}")
    facts = {"images": description, **dataclasses.asdict(config)}
    if args.compare:
        do_compare(path, images, kinds, config, facts)
    elif args.choose:
        from labs.image_clustering import compare

        ways = compare.choose(images, config)
        shared.write_run(path, LAB, facts, {}, {"stability": (compare.Way._fields, ways)})
        print(f"most stable: {ways[0].training}, {ways[0].clusterer} (no label was used)")
    else:
        do_run(path, images, kinds, config, facts, np.array([int(digit) for digit in options.known]))
    print(f"wrote {path}")
    if not (args.compare or args.choose or args.images or args.best):
        print(f"next: python -m labs.{LAB} --best, or change one step: --latent_dim 64, --reduction tsne, --loss mse")
    return 0


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    options = settings.from_args(Options, args)
    if args.convert:
        return do_convert(args.convert, options.images)
    if args.compare and args.images:
        raise LabError("--compare scores by the kinds of the default images; leave --images out")
    if args.images and args.dataset:
        raise LabError("--dataset chooses the default images; leave it out beside --images")
    if not args.images and options.known != Options.known:
        told = "is for --images; the default ones begin with five digits: leave it out"
        raise LabError(f"--known {options.known[:20]} {told}")
    given = settings.given(Settings, args)
    if other := [f"--{name} {given[name]}" for name in BEST if args.best and given.get(name, BEST[name]) != BEST[name]]:
        raise LabError(f"--best is another way than {' '.join(other)}; leave out either of them")
    config = settings.check(Settings(**(BEST if args.best else {}) | given))
    if config.reduction == "svd" and config.latent_dim < 3:
        raise LabError(f"--reduction svd needs --latent_dim of 3 or more, got {config.latent_dim}; take pca")
    if config.reduction == "umap" and not shared.has_umap():
        raise LabError("UMAP is not installed; run: python -m pip install umap-learn, or take another --reduction")
    if args.check:
        return shared.check_submission(LAB)
    with shared.run_path(LAB, args.results_path) as path:
        return run(args, options, config, path)


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
