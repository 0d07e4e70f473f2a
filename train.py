"""Embed the training images, cluster them with the mixture of submission.py, and save the run.

    python train.py --use_pca          PCA embedding (the one that counts for Performance)
    python train.py                    the AutoEncoder's plane
    python train.py --use_pca --sweep embedding_dim=5,10,20 seed=0,1     a grid of settings, compared

Writes results/<datetime>/: gmm/, pca/ (PCA runs), config.yaml and trace.csv, the likelihood by iteration.
"""

import argparse
import csv
import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import load_resources
import utils
from utils import LabError, TrainConfig

if TYPE_CHECKING:
    import submission  # at run time it is imported late: scikit-learn stands behind it


@dataclasses.dataclass
class TrainResult:
    """What training yields: the models, the labels it gives, and how long its parts took in seconds."""

    gmm: "submission.GMM"
    pca: "submission.PCA | None"
    embed_seconds: float
    fit_seconds: float


def build_parser() -> argparse.ArgumentParser:
    default = TrainConfig()
    parser = utils.one_line_errors(
        argparse.ArgumentParser(
            prog="train.py",
            allow_abbrev=False,
            description="Cluster the training images by PCA or AutoEncoder and a Gaussian mixture.",
            epilog="examples: python train.py --use_pca\n"
            "          python train.py --use_pca --embedding_dim 20 --seed 1 --results_path results/d20\n"
            "          python train.py --use_pca --sweep embedding_dim=5,10,20,50 seed=0,1,2",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    parser.add_argument(
        "--embedding_dim",
        type=int,
        default=default.embedding_dim,
        metavar="d",
        help="dimensions of the PCA embedding, 1 to 784; ignored without --use_pca (default: %(default)s)",
    )
    parser.add_argument("--use_pca", action="store_true", help="embed by PCA; left out, by the AutoEncoder")
    parser.add_argument(
        "--n_components",
        type=int,
        default=default.n_components,
        metavar="K",
        help="number of clusters; keep it at the number of classes (default: %(default)s)",
    )
    parser.add_argument(
        "--max_iter",
        type=int,
        default=default.max_iter,
        metavar="N",
        help="at most so many EM iterations (default: %(default)s)",
    )
    parser.add_argument(
        "--results_path", metavar="DIR", help="folder of this run, new or empty (default: results/<datetime>)"
    )
    parser.add_argument("--seed", type=int, default=default.seed, help="random seed (default: %(default)s)")
    parser.add_argument(
        "--dataset",
        choices=list(utils.DATASETS),
        help="what to cluster (default: MNIST, or the offline stand-in where it cannot be had)",
    )
    parser.add_argument("--data_dir", metavar="DIR", help="folder of the IDX files (default: MNIST_DIR, else download)")
    parser.add_argument(
        "--sweep",
        nargs="+",
        metavar="SETTING=V1,V2",
        help="train every combination of embedding_dim, n_components, max_iter and seed, one folder each below "
        "--results_path (default: results/sweep-<datetime>), and compare them; a stopped sweep goes on when it is "
        "started again with the same --results_path",
    )
    parser.add_argument(
        "--ae", metavar="ID_OR_FOLDER", help="another AutoEncoder, a Hub id or a folder (default: LAB_AE, else shipped)"
    )
    return parser


def train(config: TrainConfig, images: np.ndarray) -> TrainResult:
    """Embed and fit.

    Args:
        config: the settings.
        images: uint8 (N, 1, 28, 28), 0..255.

    Raises:
        LabError: the settings do not fit the data, or a covariance became singular.
    """
    import submission

    config.validate(n_samples=len(images))
    start = time.monotonic()
    pca = None
    if config.use_pca:
        pca = submission.PCA(config.embedding_dim)
        pca.fit(utils.flatten(images))
        codes = pca.transform(utils.flatten(images))
    else:
        codes = utils.ae_encode(utils.load_ae(config.ae), images)
    embedded = time.monotonic()
    gmm = submission.GMM(config.n_components, codes.shape[1])
    try:
        gmm.fit(codes, max_iter=config.max_iter, seed=config.seed)
    except np.linalg.LinAlgError as error:
        raise LabError(
            f"the mixture cannot be fitted ({error}): a covariance is singular; check the M-step of submission.py, "
            "or take fewer --n_components or a smaller --embedding_dim"
        ) from None
    if not all(np.isfinite(array).all() for array in (gmm.means, gmm.covs, gmm.pi, *gmm.log_likelihoods)):
        raise LabError(
            f"the mixture holds NaN or infinity after {len(gmm.log_likelihoods)} iterations, so nothing was saved; "
            "check the E-step and the M-step of submission.py"
        )
    return TrainResult(gmm, pca, embedded - start, time.monotonic() - embedded)


def save_run(path: Path, config: TrainConfig, result: TrainResult) -> None:
    """Write the run's folder, whole or not at all.

    Raises:
        LabError: the parameters are not those of a mixture or a PCA of these data: no later step could read them.
    """
    with utils.new_folder(path) as folder:
        result.gmm.save_pretrained(folder / "gmm")
        if result.pca is not None:
            result.pca.save_pretrained(folder / "pca")
        config.save(folder / "config.yaml")
        with (folder / "trace.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["iteration", "mean_log_likelihood"])
            writer.writerows(enumerate(result.gmm.log_likelihoods, start=1))
        try:
            utils.load_run(folder)
        except LabError as error:
            cause = str(error).replace(f"{folder}{os.sep}", "").partition(";")[0]
            raise LabError(f"nothing was saved: {cause}; check tasks 1.2 and 2.1 of submission.py") from None


def train_grid(config: TrainConfig, args: argparse.Namespace) -> int:
    """``--sweep``: many runs and their comparison."""
    from insight import sweep

    sweep.parse(args.sweep, config)  # before the data are fetched
    path = utils.new_run_path(args.results_path)
    if args.results_path is None:
        path = path.with_name(f"sweep-{path.name}")
    config.dataset = load_resources.ensure(args.dataset, args.data_dir)
    configs = sweep.parse(args.sweep, config)
    print(f"{len(configs)} runs on {utils.DATASETS[config.dataset]}")
    print(f"\n{sweep.run(configs, args.sweep, path)}\n")
    print(f"wrote sweep.csv, sweep.png and {len(configs)} run folders in {path}")
    print("next: look at sweep.png; grade the run that you choose: python grade.py --results_path RUN")
    return 0


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    settings = {f.name: getattr(args, f.name) for f in dataclasses.fields(TrainConfig) if hasattr(args, f.name)}
    config = TrainConfig(**settings | {"dataset": args.dataset or "mnist"}).validate()
    if not config.use_pca:
        config.ae = args.ae or os.environ.get(utils.AE_NETWORK.variable) or None
        if config.ae and Path(config.ae).expanduser().is_dir():  # later scripts may run from another folder
            config.ae = str(Path(config.ae).expanduser().resolve())
    if args.sweep:
        return train_grid(config, args)
    path = utils.new_run_path(args.results_path)
    utils.check_new_folder(path)
    config.dataset = load_resources.ensure(args.dataset, args.data_dir)
    images, _ = utils.load_split("train", config.dataset)
    print(f"data: {utils.DATASETS[config.dataset]}, {len(images):,} training images")
    utils.set_seed(config.seed)
    result = train(config, images)
    save_run(path, config, result)

    trace, gmm = result.gmm.log_likelihoods, result.gmm
    way = f"PCA to {config.embedding_dim}" if config.use_pca else f"AutoEncoder to {gmm.data_dim}"
    end = "converged" if gmm.converged else "stopped by --max_iter"
    print(f"embedding: {way} dimensions, {result.embed_seconds:.1f} s")
    print(f"mixture: {config.n_components} components, {len(trace)} EM iterations ({end}), {result.fit_seconds:.1f} s")
    print(f"mean log-likelihood: {trace[-1]:.4f}")
    print(f"wrote {path}")
    option = utils.run_option(path)
    print(f"next: python visualization.py{option}  and  python visualization.py --cluster_label{option}")
    return 0


if __name__ == "__main__":
    sys.exit(utils.run_script(main))
