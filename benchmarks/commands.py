"""Cases that run the lab's commands, each in its own process. Each takes a ``Plan`` and yields rows."""

import json
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
from safetensors.numpy import load_file

from benchmarks import peers, timing
from benchmarks.plan import Plan, Row
from benchmarks.timing import max_memory
from hi_mnist import idx
from hi_mnist.data import load_split
from hi_mnist.files import ROOT
from hi_mnist.prepare import ensure
from hi_mnist.runs import cluster_labels, load_run
from report.measures import knn_accuracy

# Measured once on two such cores, not in each run: together they take half an hour.
SAVED_TSNE = 401.0  # scikit-learn's TSNE of 60,000 images, raw pixels
SAVED_CHAIN = 12.5 + 2 * (283.0 + 401.0) + 23.5  # the original: train, two visualizations (AE and TSNE each), grade


def take_turns(jobs: dict[str, list], rounds: int) -> dict[str, list[timing.Finished]]:
    """Run Python commands in turn, A B A B ...; the commands of a round share a fresh LAB_HOME."""
    runs = {name: [] for name in jobs}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            for name, arguments in jobs.items():
                runs[name].append(timing.run_command(arguments, {"LAB_HOME": home, "MNIST_DIR": ""}))
    return runs


# --------------------------------------------------------------------------- data


@contextmanager
def data_sources(plan: Plan) -> Iterator[tuple[Path, list]]:
    """A folder with the data as parquet files and, for MNIST, as IDX files; and the options to prepare them again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, prefix in (("train", "train"), ("test", "t10k")):
            images, labels = load_split(split, plan.dataset)
            peers.write_parquet(images, labels, folder / f"{split}.parquet")
            for array, kind in ((images[:, 0], "images-idx3"), (labels.astype(np.uint8), "labels-idx1")):
                header, pixels = idx.idx_parts(array)
                (folder / f"{prefix}-{kind}-ubyte").write_bytes(header + bytes(pixels))
        # The command makes the stand-in itself: IDX files of its size would be refused as MNIST.
        yield folder, ["--dataset", plan.dataset] + (["--data_dir", folder] if plan.dataset == "mnist" else [])


OPEN_PREPARED = """
import sys, time
from hi_mnist.data import load_split
start = time.perf_counter()
for split in ("train", "test"):
    images, labels = load_split(split, sys.argv[1])
    images.max(), labels.max()
print(time.perf_counter() - start)
"""


def data(plan: Plan) -> Iterator[Row]:
    """From IDX files to prepared data, and from prepared data to arrays."""
    with data_sources(plan) as (folder, options):
        theirs = ["-m", "benchmarks.peers", folder]
        jobs = {
            "prepare": ["load_resources.py", *options],
            "open": ["-c", OPEN_PREPARED, plan.dataset],
            "theirs": theirs,
            "theirs again": theirs,
        }
        runs = take_turns(jobs, plan.rounds(3))
    printed = {name: [float(run.output.split()[-1]) for run in runs[name]] for name in list(jobs)[1:]}
    source = "IDX files" if plan.dataset == "mnist" else "scikit-learn's digits"
    yield Row(
        f"load_resources.py, the whole command, from {source}",
        "Hugging Face datasets, from parquet with PNG",
        median(run.seconds for run in runs["prepare"]),
        median(printed["theirs"]),
        memory=max_memory(runs["prepare"]),
        peer_memory=max_memory(runs["theirs"]),
        note="both splits; the peer's import is not counted",
    )
    yield Row(
        "open the prepared set",
        "Hugging Face datasets, from its cache",
        median(printed["open"]),
        median(printed["theirs again"]),
        memory=max_memory(runs["open"]),
        peer_memory=max_memory(runs["theirs again"]),
        note="both splits as NumPy arrays, every pixel read; the peer keeps PNG files and decodes them each time",
    )


# --------------------------------------------------------------------------- the whole lab


def chain(plan: Plan) -> Iterator[Row]:
    """The lab's commands in a fresh LAB_HOME with prepared data, then again with a warm cache."""
    dataset = "digits" if plan.quick else plan.dataset
    ensure(dataset)  # needed below to score the run; a quick plan has another data set
    images, labels = load_split("train", dataset)
    saved = dataset == "mnist"  # the saved figures are for MNIST
    with tempfile.TemporaryDirectory() as home:
        environment = {"LAB_HOME": home}
        options = [] if dataset == "mnist" else ["--dataset", dataset]
        timing.run_command(["load_resources.py", *options], environment)
        for turn in ("first", "second"):
            run = Path(home) / "results" / turn
            at = ["--results_path", run]
            train = timing.run_command(["train.py", "--use_pca", *at, *options], environment)
            true = timing.run_command(["visualization.py", *at], environment)
            cluster = timing.run_command(["visualization.py", "--cluster_label", *at], environment)
            # What a student finds by eye: the cluster with the most sixes.
            index = str(np.bincount(cluster_labels(load_run(run), images)[labels == 6]).argmax())
            grade = timing.run_command(["grade.py", "--sample_index", index, *at], environment)
            graded = json.loads((run / "grade.json").read_text(encoding="utf-8"))
            (plane,) = (Path(home) / "cache").glob("tsne-*")
            near = knn_accuracy(load_file(plane)["plane"], labels)
            yield Row(
                f"both visualizations, {'with the t-SNE' if turn == 'first' else 't-SNE from the cache'}",
                "scikit-learn TSNE on raw pixels, twice" if saved else "",
                true.seconds + cluster.seconds,
                2 * SAVED_TSNE if saved else None,
                memory=max_memory([true, cluster]),
                note=f"neighbours in the t-SNE plane outvote to the true digit for {near:.1%} of the images"
                + ("; the peer takes 401 s, once for each colouring" if saved else ""),
                saved=saved,
            )
            parts = {"train": train, "true": true, "cluster": cluster, "grade": grade}
            detail = ", ".join(f"{part} {command.seconds:.1f}" for part, command in parts.items())
            yield Row(
                f"train, both visualizations, grade{'' if turn == 'first' else ', second time'}",
                "the original lab's steps" if saved else "",
                sum(command.seconds for command in parts.values()),
                SAVED_CHAIN if saved else None,
                memory=max_memory(parts.values()),
                note=f"{graded['auto_score']:.2f} of {graded['auto_points']} points; {detail} s"
                + ("; the peer takes 12.5 s + 2 x (283 s + 401 s) + 23.5 s" if saved else ""),
                saved=saved,
            )


def grading(plan: Plan) -> Iterator[Row]:
    """The checks of one file, and a class of runs that differ by their seeds, with and without reproduction."""
    dataset, count = ("digits", 2) if plan.quick else (plan.dataset, 8)
    ensure(dataset)
    trees = {"ours": ROOT} | ({"theirs": plan.before} if plan.before else {})

    def measure(what: str, arguments: list, rounds: int, target: float, share: int) -> Row:
        runs = {name: [] for name in trees}
        for turn in range(rounds + 1):  # the first warms the caches
            for name, tree in trees.items():
                time.sleep(timing.REST)
                out = ["--out", home / f"{name}{len(list(home.iterdir()))}"] if share > 1 else []
                finished = timing.run_command([*arguments, *out], environment | {"PYTHONPATH": ""}, tree)
                runs[name] += [finished] if turn else []
        ours, theirs = (median(r.seconds for r in runs[n]) / share if n in runs else None for n in ("ours", "theirs"))
        peer = "version 0.1" if theirs else ""
        return Row(what, peer, ours, theirs, target if peer else None, max_memory(runs["ours"]))

    with tempfile.TemporaryDirectory() as name:
        home, environment = Path(name), {"LAB_HOME": name}
        timing.run_command(["load_resources.py", "--dataset", dataset], environment)
        class_folder = home / "hand_ins"
        class_folder.mkdir()
        for seed in range(1, count + 1):
            run = home / "results" / str(seed)
            options = ["--dataset", dataset, "--seed", str(seed), "--results_path", run]
            timing.run_command(["train.py", "--use_pca", *options], environment)
            with zipfile.ZipFile(class_folder / f"PB{seed}+Ann+LAB3.zip", "w") as archive:
                archive.write(ROOT / "submission.py", "submission.py")
                for path in filter(Path.is_file, run.rglob("*")):
                    archive.write(path, path.relative_to(home))
        yield measure("python -m grading submission.py", ["-m", "grading", "submission.py"], plan.rounds(5), 2.2, 1)
        command = ["-m", "staff.grade_class", class_folder, "--dataset", dataset]
        for what, more, target in (("reproduced", [], 1.5), ("not reproduced", ["--no-rerun"], 2.1)):
            yield measure(
                f"a hand-in of {count} graded together, {what}", [*command, *more], plan.rounds(2), target, count
            )


def startup(plan: Plan) -> Iterator[Row]:
    """The time a command needs to start."""
    jobs = {
        "python train.py --help": ["train.py", "--help"],
        "from submission import GMM": ["-c", "from submission import GMM"],
    }
    for name, runs in take_turns(jobs, plan.rounds(7)).items():
        yield Row(name, "", median(run.seconds for run in runs), memory=max_memory(runs))
