"""Train a deep autoencoder with and without pretraining by RBMs, and compare them with PCA.

    python -m labs.deep_autoencoder --do_train_rbm --max_epoch 10            the assignment
    python -m labs.deep_autoencoder --do_train_rbm --max_epoch 10 --bonus    and ColoredMNIST
    python -m labs.deep_autoencoder --resume                                 go on with a run that was stopped
    python -m labs.deep_autoencoder --check                                  score the tasks in submission.py

Writes results/deep_autoencoder-<datetime>/: models/, config.yaml, results.json, table.csv, STUDENT_ID.csv and pictures.
"""

import argparse
import dataclasses
import json
import os
import platform
import re
import sys
from datetime import datetime
from pathlib import Path

from hi_mnist import cli, files, networks
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS, load_split
from hi_mnist.runs import new_run_path
from hi_mnist.settings import read_yaml
from labs import shared
from labs.deep_autoencoder.colored import SEVERITIES
from labs.deep_autoencoder.settings import CODES, LOSSES, OPTIMIZERS, Settings

LAB = "deep_autoencoder"
REMARKS = ("bonus", "severity", "student_id", "notes")  # kept with the settings, but without influence on the training
RESULTS = "results.json"  # written last: a run without it is unfinished


def build_parser() -> argparse.ArgumentParser:
    default = Settings()
    parser = shared.build_parser(
        LAB,
        "Train a deep autoencoder with and without pretraining by restricted Boltzmann machines.",
        "examples: python -m labs.deep_autoencoder --do_train_rbm --max_epoch 10 --bonus\n"
        "          python -m labs.deep_autoencoder --resume",
    )

    def number(flag: str, kind: type, text: str) -> None:
        parser.add_argument(
            f"--{flag}", type=kind, default=getattr(default, flag), help=f"{text} (default: %(default)s)"
        )

    parser.add_argument("--do_train_rbm", action="store_true", help="pretrain by RBMs; left out, only without")
    parser.add_argument("--bonus", action="store_true", help="work on ColoredMNIST, too")
    parser.add_argument("--resume", action="store_true", help="go on with the newest unfinished run, as it was started")
    number("max_epoch", int, "epochs of each RBM and of each fine-tuning")
    parser.add_argument("--max_epoch_rbm", type=int, help="epochs of each RBM (default: max_epoch)")
    number("batch_size", int, "images in a batch")
    number("lr_rbm", float, "learning rate of the RBMs")
    number("lr_ae", float, "largest learning rate of fine-tuning")
    number("k", int, "Gibbs steps of contrastive divergence")
    number("momentum", float, "momentum of the RBMs")
    number("weight_decay_rbm", float, "weight decay of the RBMs")
    number("weight_decay", float, "weight decay of fine-tuning")
    parser.add_argument("--loss_fn", choices=LOSSES, default=default.loss_fn, help="default: %(default)s")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default=default.optimizer, help="default: %(default)s")
    parser.add_argument(
        "--code", choices=CODES, default=default.code, help="code layer: the assignment's (default) or the paper's"
    )
    parser.add_argument(
        "--layers", type=widths, default=default.layers, metavar="784-...", help="default: 784-2000-1000-500-30"
    )
    parser.add_argument(
        "--dataset",
        type=str.lower,
        choices=list(DATASETS),
        help="default: MNIST, or the offline stand-in where it cannot be had",
    )
    parser.add_argument("--data_dir", metavar="DIR", help="folder of the IDX files (default: MNIST_DIR, else download)")
    parser.add_argument(
        "--num_workers", type=int, default=0, help="processes that fetch batches (default: %(default)s)"
    )
    parser.add_argument("--gpu", type=int, metavar="I", help="number of the CUDA device (default: the first, if any)")
    parser.add_argument(
        "--severity", type=int, choices=range(1, len(SEVERITIES) + 1), default=1, help="of ColoredMNIST (default: 1)"
    )
    parser.add_argument("--student_id", default="STUDENT_ID", help="names the CSV file (default: %(default)s)")
    parser.add_argument(
        "--time_str", metavar="NAME", help=f"the run's folder is results/{LAB}-NAME (default: the time)"
    )
    parser.add_argument("--notes", default="", help="a remark, kept in config.yaml")
    return parser


def widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split("-"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 784-2000-1000-500-30") from None


def settings_of(args: argparse.Namespace):
    """The training settings in the arguments, checked; ``dataset`` is still to come.

    Raises:
        LabError: a value is out of range.
    """
    names = [f.name for f in dataclasses.fields(Settings) if f.name != "dataset"]
    settings = Settings(**{name: getattr(args, name) for name in names}).validate()
    if not 0 <= args.num_workers <= 64:
        raise LabError(f"--num_workers must be between 0 and 64, got {args.num_workers}")
    if not re.fullmatch(r"[\w-]{1,64}", args.student_id, re.ASCII):
        raise LabError(f"--student_id must be letters, digits, - and _, at most 64, got {args.student_id!r}")
    if args.student_id.lower() == "table":
        raise LabError("--student_id table would overwrite table.csv; choose another name")
    if args.time_str is not None and not re.fullmatch(r"[\w.-]{1,64}", args.time_str, re.ASCII):
        raise LabError(f"--time_str must be letters, digits, '.', - and _, at most 64, got {args.time_str!r}")
    if args.time_str and args.results_path:
        raise LabError("--time_str and --results_path both name the run's folder; leave one of them out")
    return settings


def device_of(gpu: int | None):
    """The device of ``--gpu``, else the lab's choice.

    Raises:
        LabError: there is no such CUDA device.
    """
    if gpu is None:
        return networks.get_device()
    import torch

    if not 0 <= gpu < torch.cuda.device_count():
        raise LabError(f"--gpu {gpu}: this machine has {torch.cuda.device_count()} CUDA devices; leave --gpu out")
    return torch.device("cuda", gpu)


# --------------------------------------------------------------------------- the run's folder


def run_folder(args: argparse.Namespace) -> Path:
    """The folder that the arguments name; the time names a new one."""
    if args.results_path is not None:
        return new_run_path(args.results_path)
    return files.results_dir() / f"{LAB}-{args.time_str or datetime.now().strftime('%Y-%m-%d_%H-%M-%S')}"


def unfinished_run() -> Path:
    """The newest run of this lab in results/ that was stopped before its end.

    Raises:
        LabError: there is none.
    """
    started = files.results_dir().glob(f"{LAB}-*/config.yaml")
    runs = [path.parent for path in started if not (path.parent / RESULTS).exists()]
    if not runs:
        raise LabError(
            f"--resume: {files.results_dir()} holds no unfinished run; leave --resume out, or name the run's folder "
            "with --results_path and the flags that it was started with"
        )
    return max(runs, key=lambda run: (run / "config.yaml").stat().st_mtime_ns)


def read_config(path: Path) -> dict:
    """A run's ``config.yaml``; empty where the folder holds no run.

    Raises:
        LabError: damaged, or of something else than this lab.
    """
    file = path / "config.yaml"
    if not file.is_file():
        return {}
    config = read_yaml(file)
    if config.get("lab") == LAB:
        return config
    raise LabError(f"{file} is not of a run of this lab; name another folder")


def resumed(argv: list[str]) -> argparse.Namespace:
    """The arguments that a run was started with, and those given now: these win, and must train the same.

    Raises:
        LabError: there is no such run, or its ``config.yaml`` holds what is no setting.
    """
    args = build_parser().parse_args(argv)
    path = run_folder(args) if args.results_path or args.time_str else unfinished_run()
    config = read_config(path)
    if not config:
        raise LabError(f"--resume: {path} holds no run of this lab; leave --resume out to start one there")
    unknown = [key for key in config if key not in {*Settings().as_dict(), *REMARKS, "lab"}]
    if unknown:
        raise LabError(f"{path / 'config.yaml'} has an unknown setting: {unknown[0]!r}; remove it")
    words = []
    for key, value in config.items():
        if value is True:
            words.append(f"--{key}")
        elif key != "lab" and value is not None and value is not False:
            words.append(f"--{key}={'-'.join(map(str, value)) if isinstance(value, list) else value}")
    try:
        build_parser().parse_args(words)
    except LabError as error:
        raise LabError(f"{path / 'config.yaml'}: {error}") from None
    args = build_parser().parse_args([*words, *argv])
    args.results_path, args.time_str = str(path), None
    return args


def open_folder(path: Path, args: argparse.Namespace, settings) -> None:
    """Make the run's folder, or go on in it where it holds a run with the same training settings.

    Raises:
        LabError: something else is there, or the settings differ.
    """
    wanted = settings.as_dict()
    config = read_config(path)
    if not config:
        files.check_new_folder(path)
        path.mkdir(parents=True, exist_ok=True)
    elif not os.access(path, os.W_OK):
        raise LabError(f"the run folder {path} cannot be written to; copy it to where you may write")
    else:
        differ = [key for key, value in wanted.items() if config.get(key) != value]
        if differ:
            there = ", ".join(f"{key} {config.get(key)}" for key in differ)
            raise LabError(f"{path} holds a run with other settings ({there}); give the same, or name another folder")
        (path / RESULTS).unlink(missing_ok=True)
    extra = {name: getattr(args, name) for name in REMARKS}
    shared.write_settings(path / "config.yaml", {"lab": LAB, **wanted, **extra})


# --------------------------------------------------------------------------- the work


def analyse(path: Path, trained, train_split, test_split, args, device) -> list:
    """Probes, errors and pictures of a trained run: the rows of the table. ``device`` holds the models."""
    from labs.deep_autoencoder import analysis, training

    train_x, test_x = (training.pixels(split[0]) for split in (train_split, test_split))

    def represented(name, encode, decode, seconds=0.0, cpu_seconds=0.0):
        train_codes, test_codes = (training.in_batches(encode, x, device) for x in (train_x, test_x))
        rebuilt = training.in_batches(decode, test_codes, device)
        arrays = (part.numpy() for part in (train_codes, test_codes, rebuilt))
        return analysis.Representation(name, *arrays, seconds, cpu_seconds)

    pretraining = [sum(getattr(stage, what) for stage in trained.rbms) for what in ("seconds", "cpu_seconds")]
    found = [
        analysis.Representation("raw", train_x.numpy(), test_x.numpy()),
        analysis.pca_representation(train_x.numpy(), test_x.numpy()),
    ]
    if trained.rbms:
        found.append(represented("stack", trained.stack.v2h, trained.stack.h2v, *pretraining))
    for name, stage in trained.autoencoders.items():
        before = pretraining if name == "pretrained" else (0.0, 0.0)
        times = (stage.seconds + before[0], stage.cpu_seconds + before[1])
        found.append(represented(name, stage.model.encoder, stage.model.decoder, *times))

    labels = train_split[1], test_split[1]
    rows = analysis.compare(found, *labels, test_x.numpy())
    shared.write_csv(path / "table.csv", analysis.HEADER, (dataclasses.astuple(row) for row in rows))
    analysis.write_student_csv(
        path, args.student_id, rows[[r.name for r in found].index(next(iter(trained.autoencoders)))]
    )
    errors = [row.squared_error for row in rows[1:]]
    analysis.plot_reconstructions(test_x.numpy(), labels[1], found[1:], errors, path / "reconstructions.png")
    analysis.plot_training(trained.rbms, trained.autoencoders, args.loss_fn, path / "training.png")
    if trained.rbms:
        analysis.plot_filters(trained.rbms[0].model.fc.cpu().numpy(), path / "rbm-filters.png")
    for r in found:
        if r.name in ("raw", "pretrained", "scratch"):
            title = analysis.TITLES[r.name][0].upper() + analysis.TITLES[r.name][1:]
            print(f"t-SNE: {analysis.TITLES[r.name]}", flush=True)
            analysis.plot_tsne(r.test, labels[1], path / f"t-sne-{r.name}.png", title)
    return rows


def do_bonus(path: Path, trained, train_split, test_split, args, dataset, device):
    from labs.deep_autoencoder import bonus, training

    name, stage = next(iter(trained.autoencoders.items()))
    print(f"bonus: Colored MNIST, severity {args.severity}, codes of the autoencoder ({name})", flush=True)

    def encode(grey):
        import torch

        return training.in_batches(stage.model.encoder, torch.from_numpy(grey), device).numpy()

    data = DATASETS[dataset] if dataset != "digits" else "stand-in digits"
    return bonus.run(path, train_split, test_split, encode, args.severity, args.seed, data)


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.check:
        from labs.deep_autoencoder.questions import QUESTIONS

        return shared.check_submission(LAB, QUESTIONS)
    if args.resume:
        args = resumed(sys.argv[1:] if argv is None else argv)
    settings = settings_of(args)
    device = device_of(args.gpu)
    path = run_folder(args)
    if not read_config(path):
        files.check_new_folder(path)
    dataset = shared.prepare(["mnist"], args.dataset, args.data_dir)
    settings = dataclasses.replace(settings, dataset=dataset)
    train_split, test_split = (load_split(split, dataset) for split in ("train", "test"))
    open_folder(path, args, settings)
    print(f"data: {DATASETS[dataset]}, {len(train_split[0]):,} training and {len(test_split[0]):,} test images")
    print(f"run: {path}", flush=True)

    from labs.deep_autoencoder import analysis, training

    try:
        trained = training.train(
            settings,
            path,
            train_split,
            test_split,
            device=device,
            num_workers=args.num_workers,
            report=lambda line: print(line, flush=True),
        )
    except KeyboardInterrupt:
        option = "" if path.parent == files.results_dir() else f' --results_path "{path}"'
        print(f"\nwhole epochs are kept; go on with: python -m labs.deep_autoencoder --resume{option}", file=sys.stderr)
        raise
    rows = analyse(path, trained, train_split, test_split, args, device)
    print(f"\n{analysis.table(rows)}\n")
    results = {
        "config": read_config(path),
        "rows": [dataclasses.asdict(row) for row in rows],
        "device": str(device),
        "versions": {"python": platform.python_version(), "torch": torch_version()},
    }
    if args.bonus:
        from labs.deep_autoencoder import bonus

        coloured = do_bonus(path, trained, train_split, test_split, args, dataset, device)
        print(f"\n{bonus.table(coloured)}\n")
        results["bonus"] = coloured.as_dict()
    files.write_text(path / RESULTS, json.dumps(results, indent=2) + "\n")
    print(f"wrote {path}")
    print("next: compare reconstructions.png and t-sne-*.png, and say in your report what pretraining changed")
    return 0


def torch_version() -> str:
    import torch

    return torch.__version__


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
