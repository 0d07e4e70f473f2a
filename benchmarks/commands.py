"""The case that runs the lab's commands, each in its own process."""

import functools
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import timing
from benchmarks.results import Row
from benchmarks.timing import Plan
from hi_mnist.files import ROOT
from hi_mnist.prepare import ensure


def grading(plan: Plan) -> Iterator[Row]:
    """The checks of one file, a run with its sixes, and a class of runs of other seeds, reproduced and not."""
    dataset, count = ("digits", 2) if plan.quick else (plan.dataset, 8)
    ensure(dataset)
    with tempfile.TemporaryDirectory() as name:
        home, environment = Path(name), {"LAB_HOME": name}

        def measure(what: str, command: Callable[[str], list], rounds: int, target=None, hand_ins=1, note="") -> Row:
            """A command, of which each run gets an empty folder, in all trees."""

            def run(tree: Path) -> None:
                timing.run_command(command(tempfile.mkdtemp(dir=home)), environment, tree)

            jobs = {side: functools.partial(run, tree) for side, tree in plan.trees().items()}
            times = {side: taken / hand_ins for side, taken in timing.alternate(jobs, plan.rounds(rounds)).items()}
            return Row(what, "version 0.1" if plan.before else "", times["ours"], times.get("theirs"), target, note)

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
        code, sixes = ["-m", "grading", "submission.py"], ["grade.py", "--sample_index", "6", "--results_path", run]
        yield measure("python -m grading submission.py", lambda _: code, 5, 2.2)
        twice = "12 s are promised; ours draws the thousand steps twice, with and without guidance"
        yield measure("grade.py with both sixes", lambda _: sixes, 2, note=twice)
        grade = ["-m", "staff.grade_class", class_folder, "--dataset", dataset]
        for what, more, target in (("reproduced", [], 1.5), ("not reproduced", ["--no-rerun"], 2.1)):
            command = functools.partial(lambda more, folder: [*grade, *more, "--out", folder], more)
            yield measure(f"a hand-in of {count} graded together, {what}", command, 2, target, count)
