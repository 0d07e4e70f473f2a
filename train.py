"""Embed the training images, cluster them with the mixture of submission.py, and save the run.

    python train.py --use_pca          PCA embedding (only these runs count for Performance)
    python train.py                    the AutoEncoder's plane
    python train.py --use_pca --sweep embedding_dim=5,10,20 seed=0,1     a grid of settings, compared

Writes results/<datetime>/: gmm/, pca/ (PCA runs), config.yaml, and how EM went: trace.csv and trace.safetensors.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from hi_mnist import cli, data, files, networks, prepare, runs, settings, training
from hi_mnist.data import DATASETS
from hi_mnist.runs import TrainConfig


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(
        "train.py",
        "Embed the training images by PCA or the AutoEncoder and cluster them with a Gaussian mixture.",
        "python train.py --use_pca",
        "python train.py --use_pca --embedding_dim 20 --seed 1 --results_path results/d20",
        "python train.py --use_pca --sweep embedding_dim=5,10,20,50 seed=0,1,2",
    )
    settings.add_flags(parser, TrainConfig)
    text = "the data set to cluster (default: MNIST, or the offline stand-in if MNIST is not available)"
    parser.add_argument("--dataset", choices=list(DATASETS), help=text)
    cli.add_options(parser, "data_dir")
    parser.add_argument(
        "--sweep",
        nargs="+",
        metavar="SETTING=V1,V2",
        help="train every combination of embedding_dim, n_components, max_iter and seed, one folder each in "
        "--results_path (default: results/sweep-<datetime>), and compare them; a stopped sweep resumes when you start "
        "it again with the same --results_path",
    )
    return parser


def train_grid(config: TrainConfig, args: argparse.Namespace, path: Path) -> int:
    """``--sweep``: train many runs and compare them."""
    from report import sweep

    sweep.parse(args.sweep, config)  # before the data are fetched
    config.dataset = prepare.ensure(args.dataset, args.data_dir)
    configs = sweep.parse(args.sweep, config)
    print(f"{len(configs)} runs on {DATASETS[config.dataset]}")
    print(f"\n{sweep.run(configs, args.sweep, path)}\n")
    print(f"wrote sweep.csv, sweep.png and {len(configs)} run folders in {path}")
    print("next: look at sweep.png, choose one of the run folders, then python visualization.py --results_path RUN")
    return 0


def warn(line: str) -> None:
    tqdm.write(f"warning: {line}", file=sys.stderr)  # above the progress bar


def train_one(config: TrainConfig, args: argparse.Namespace, path: Path) -> int:
    files.check_new_folder(path)
    config.dataset = prepare.ensure(args.dataset, args.data_dir)
    images, _ = data.load_split("train", config.dataset)
    print(f"data: {DATASETS[config.dataset]}, {len(images):,} training images")
    from grading import checks  # slow to import: what is wrong with the command line comes before

    training.set_seed(config.seed)
    result = training.train(config, images, say=warn, judge=checks.ask_here)
    training.save_run(path, config, result)

    trace, run = result.gmm.log_likelihoods, runs.load_run(path)
    end = "converged" if result.gmm.converged else "stopped by --max_iter"
    print(f"embedding: {'PCA' if config.use_pca else 'AutoEncoder'}, {result.embed_seconds:.1f} s")
    if result.pca:
        print(f"{config.embedding_dim} components keep {100 * result.kept:.0f} % of the variance")
    print(f"mixture: {config.n_components} components, {len(trace)} EM iterations ({end}), {result.fit_seconds:.1f} s")
    print(f"mean log-likelihood: {trace[-1]:.4f}")
    print(f"wrote {', '.join(sorted(p.name for p in path.iterdir()))}")
    print(run)
    print(runs.next_step(run))
    return 0


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    config = settings.from_args(TrainConfig, args, dataset=args.dataset or "mnist").validate()
    config.ae = None if config.use_pca else networks.chosen_ae(args.ae)
    training.check_file(config.use_pca)
    with runs.new_run_path(args.results_path, "sweep-" if args.sweep else "") as path:
        return (train_grid if args.sweep else train_one)(config, args, path)


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
