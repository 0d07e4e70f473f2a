"""Cases that run the lab's commands, each in its own process. Each takes a ``Plan`` and yields rows."""

import functools
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from benchmarks import timing
from benchmarks.results import Row
from benchmarks.timing import Plan
from hi_mnist.data import load_split
from hi_mnist.files import ROOT
from hi_mnist.prepare import ensure
from hi_mnist.runs import cluster_labels, load_run
from report.measures import knn_accuracy


def chain(plan: Plan) -> Iterator[Row]:
    """The lab's commands in a fresh LAB_HOME with prepared data, then again with a warm cache."""
    dataset = "digits" if plan.quick else plan.dataset
    ensure(dataset)  # needed below to score the run; a quick plan has another data set
    images, labels = load_split("train", dataset)
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
                "",
                true + cluster,
                note=f"neighbours in the t-SNE plane outvote to the true digit for {near:.1%} of the images",
            )
            parts = {"train": train, "true": true, "cluster": cluster, "grade": grade}
            detail = ", ".join(f"{part} {seconds:.1f}" for part, seconds in parts.items())
            yield Row(
                f"train, both visualizations, grade{'' if turn == 'first' else ', second time'}",
                "",
                sum(parts.values()),
                note=f"{graded['auto_score']:.2f} of {graded['auto_points']} points; {detail} s",
            )


def grading(plan: Plan) -> Iterator[Row]:
    """The checks of one file, and a class of runs that differ by their seeds, with and without reproduction."""
    dataset, count = ("digits", 2) if plan.quick else (plan.dataset, 8)
    ensure(dataset)
    trees = {"ours": ROOT} | ({"theirs": plan.before} if plan.before else {})
    with tempfile.TemporaryDirectory() as name:
        home, environment = Path(name), {"LAB_HOME": name}

        def measure(what: str, command: Callable[[str], list], rounds: int, target: float, hand_ins: int = 1) -> Row:
            """A command, of which each run gets an empty folder, in both trees."""

            def run(tree: Path) -> None:
                timing.run_command(command(tempfile.mkdtemp(dir=home)), environment, tree)

            jobs = {side: functools.partial(run, tree) for side, tree in trees.items()}
            ours, *theirs = (taken / hand_ins for taken in timing.alternate(jobs, rounds).values())
            return Row(what, "version 0.1", ours, *theirs, target) if theirs else Row(what, "", ours)

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
        code = ["-m", "grading", "submission.py"]
        yield measure("python -m grading submission.py", lambda _: code, plan.rounds(5), 2.2)
        grade = ["-m", "staff.grade_class", class_folder, "--dataset", dataset]
        for what, more, target in (("reproduced", [], 1.5), ("not reproduced", ["--no-rerun"], 2.1)):
            yield measure(
                f"a hand-in of {count} graded together, {what}",
                lambda folder, more=more: [*grade, *more, "--out", folder],
                plan.rounds(2),
                target,
                count,
            )
