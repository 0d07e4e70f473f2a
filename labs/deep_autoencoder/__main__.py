"""Train a deep autoencoder with and without pretraining by RBMs, and compare them with PCA.

    python -m labs.deep_autoencoder --do_train_rbm --max_epoch 10 --bonus    the assignment and ColoredMNIST
    python -m labs.deep_autoencoder --resume                                 go on with a run that was stopped

README.md tells of all flags and of what a run's folder holds.
"""

import argparse
import dataclasses
import functools
import json
import platform
import pprint
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from hi_mnist import cli, files, networks, settings
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS, SHORT_NAMES, load_data_set
from labs import shared
from labs.deep_autoencoder.settings import LAB, PAPER, STAND_IN, Config, Options, Settings

RESULTS = "results.json"  # written last: a run without it is unfinished


def build_parser() -> argparse.ArgumentParser:
    text = "Train a deep autoencoder with and without pretraining by restricted Boltzmann machines."
    examples = ("--do_train_rbm --max_epoch 10 --bonus", "--resume")
    parser = shared.build_parser(LAB, Options, text, *examples, wanted="mnist")
    parser.add_argument("--resume", action="store_true", help="go on with the newest unfinished run, as it was started")
    return parser


def run_path(args: argparse.Namespace) -> AbstractContextManager[Path]:
    """The folder that the arguments name, else a new one, or with ``--resume`` the newest unfinished."""
    if args.time_str and args.results_path:
        raise LabError("--time_str and --results_path both name the run's folder; leave one of them out")
    if not args.resume or args.results_path or args.time_str:
        return shared.run_path(LAB, args.results_path, args.time_str)
    started = files.results_dir().glob(f"{LAB}-*/config.yaml")
    unfinished = [config for config in started if not (config.parent / RESULTS).exists()]
    if not unfinished:
        told = "holds no unfinished run; leave --resume out, or name the run's folder with --results_path"
        raise LabError(f"--resume: {files.results_dir()} {told}")
    return shared.run_path(LAB, str(max(unfinished, key=lambda config: config.stat().st_mtime_ns).parent))


def read_run(args: argparse.Namespace, path: Path) -> tuple[Options, Config | None]:
    """All settings of the run in ``path``, those given now first, and those that it was started with, if it was."""
    saved, before = None, {}
    if (file := path / "config.yaml").is_file():
        if settings.read_yaml(file).get("lab") != LAB:
            raise LabError(f"{file} is not of a run of this lab; name another folder")
        saved = settings.load(Config, file)
    if args.resume:
        if not saved:
            raise LabError(f"--resume: {path} holds no run of this lab; leave --resume out to start one there")
        before = dataclasses.asdict(saved)
    chosen = settings.given(Options, args)
    options = settings.check(Options(**(PAPER if chosen.get("paper") else {}) | before | chosen))
    if options.student_id.lower() == "table":
        raise LabError("--student_id table would overwrite table.csv; choose another name")
    if options.without_scratch and not options.do_train_rbm:
        raise LabError("--without_scratch leaves nothing to train; add --do_train_rbm, or leave it out")
    if not saved:
        files.check_new_folder(path)
    return options, saved


def open_folder(path: Path, options: Options, saved: Config | None) -> dict:
    """Make the run's folder, or go on in it where it holds a run with the same training settings: what it keeps."""
    if saved:
        names = [f.name for f in dataclasses.fields(Settings)]
        there = [f"{name} {getattr(saved, name)}" for name in names if getattr(saved, name) != getattr(options, name)]
        if there:
            told = f"other settings ({', '.join(there)}); give the same, or name another folder"
            raise LabError(f"{path} holds a run with {told}")
    path.mkdir(parents=True, exist_ok=True)
    (path / RESULTS).unlink(missing_ok=True)
    kept = {f.name: getattr(options, f.name) for f in dataclasses.fields(Config)} | {"layers": list(options.layers)}
    settings.save(kept, path / "config.yaml")
    return kept


def run(args: argparse.Namespace, path: Path) -> int:
    options, saved = read_run(args, path)
    shared.check_filled(LAB, but=() if options.bonus else ("4.1",))
    # torch and scikit-learn stand behind these: a mistake in the command is told without them.
    import torch

    from labs.deep_autoencoder import analysis, bonus, training

    training.check_networks()
    device = networks.get_device(None if options.gpu is None else f"cuda:{options.gpu}")
    dataset = shared.prepare("mnist", options.dataset, args.data_dir)
    left = {"dataset": dataset}
    if dataset == "digits" and not options.paper:
        values, chosen = dataclasses.asdict(saved) if saved else STAND_IN, settings.given(Options, args)
        left |= {name: values[name] for name in STAND_IN if name not in chosen}
    options, images = dataclasses.replace(options, **left), load_data_set(dataset)
    config = open_folder(path, options, saved)
    print(f"data: {DATASETS[dataset]}, {len(images.train):,} training and {len(images.test):,} test images")
    print(f"run: {path}")
    pprint.pprint(config, sort_dicts=False)
    try:
        trained = training.train(options, path, images, device, options.num_workers)
    except KeyboardInterrupt:
        option = "" if path.parent == files.results_dir() else f" {cli.quoted('--results_path', path)}"
        print(f"\nwhole epochs are kept; go on with: python -m labs.{LAB} --resume{option}", file=sys.stderr)
        raise
    rows = analysis.analyse(path, trained, images, options, device)
    print(f"\n{analysis.table(rows)}\n")
    results = {"config": config, "rows": [row._asdict() for row in rows], "device": str(device)}
    results["versions"] = {"python": platform.python_version(), "torch": torch.__version__}
    if options.bonus:
        name, stage = next(iter(trained.autoencoders.items()))
        title = f"Colored {SHORT_NAMES[dataset]}, severity {options.severity}"
        print(f"bonus: {title}, codes of the autoencoder ({name})", flush=True)
        encode = functools.partial(shared.in_batches, stage.model.encoder, device=device)
        results["bonus"] = bonus.run(path, images, encode, options, title, device)
        print(f"\n{bonus.table(results['bonus'])}\n")
    files.write_text(path / RESULTS, json.dumps(results, indent=2) + "\n")
    print(f"wrote {path}")
    print("next: compare reconstructions.png and t-sne-*.png, and say in your report what pretraining changed")
    return 0


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.check:
        return shared.check_submission(LAB)
    with run_path(args) as path:
        return run(args, path)


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
