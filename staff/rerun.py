"""Reproduce a Performance from the handed-in code; without that it is not accepted.

First the handed-in file's own ``fit`` runs under the run's settings and seed; if that misses or fails, its E-step
and M-step run under the lab's ``fit``. One must come within 2 % of the Davies-Bouldin index of the saved parameters.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from grading import sandbox, scores
from hi_mnist import data, runs
from hi_mnist.cli import LabError
from hi_mnist.data import DataSet
from hi_mnist.runs import TrainConfig
from hi_mnist.text import one_line
from staff.handout import student_copy

TOLERANCE = 0.02  # relative; rounding on another machine or an honest tol changes the index by less
LIMITS = sandbox.Limits(cpu_seconds=300, memory=6 * 2**30)
WAYS = {"own": "the handed-in fit", "steps": "its E-step and M-step under the lab's fit"}


@dataclass
class Reproduction:
    """The result of an attempt to reproduce a run.

    Attributes:
        way: ``own`` or ``steps``, whichever came close enough; None if neither did.
        attempts: for each way tried: ``way``, ``what`` and ``result`` in words, and ``db`` (None if it failed).
        our_fault: a child could not be started, so nothing is known.
    """

    way: str | None
    attempts: list[dict]
    our_fault: bool = False

    def sentence(self) -> str:
        return "; ".join(f"{attempt['what']}: {attempt['result']}" for attempt in self.attempts)


def reproduce(source: bytes, config: TrainConfig, db: float, images: DataSet, run=sandbox.run) -> Reproduction:
    """Train again and compare.

    Args:
        source: the handed-in submission.py.
        config: the run's settings.
        db: Davies-Bouldin of the saved parameters on the test images.
        images: the class's data set.
        run: starts the child, like ``sandbox.run``.
    """
    settings = {name: getattr(config, name) for name in ("n_components", "max_iter", "seed", "embedding_dim")}
    attempts = []
    for way, what in WAYS.items():
        files = {"given.py": student_copy("submission.py")[0]} if way == "steps" else {}  # whose fit is the lab's
        inputs = {"images": data.flatten(images.train)}
        outcome = run("fit", source, inputs, settings=settings | {"mode": way}, files=files, limits=LIMITS)
        found, result = _judge(outcome, config, images.test)
        attempts.append({"way": way, "what": what, "db": found, "result": result})
        if outcome.status == "internal":
            return Reproduction(None, attempts, our_fault=True)
        if found is not None and abs(found - db) <= TOLERANCE * db:
            return Reproduction(way, attempts)
    return Reproduction(None, attempts)


def _judge(outcome: sandbox.Outcome, config: TrainConfig, test: np.ndarray) -> tuple[float | None, str]:
    """Davies-Bouldin of a child's fit, and the same in words; None and the cause if the fit is not a mixture."""
    if outcome.status == "raised":
        where = f", line {outcome.error['line']}" if outcome.error["line"] else ""
        return None, f"{outcome.error['type']}{where}: {one_line(outcome.error['text'].partition(chr(10))[0])}"
    if outcome.status != "done":
        return None, outcome.cause
    if any(array.dtype.kind == "c" for array in outcome.arrays.values()):
        return None, "its parameters are complex numbers"
    with tempfile.TemporaryDirectory(prefix="lab-rerun-") as name:
        folder = Path(name)
        try:
            for part, names in (("gmm", ("means", "covs", "pi")), ("pca", ("components", "mean"))):
                (folder / part).mkdir()
                tensors = {key: np.ascontiguousarray(outcome.arrays[key], dtype=np.float64) for key in names}
                (folder / part / f"{part}.safetensors").write_bytes(save(tensors))
            sizes = {"n_components": config.n_components, "data_dim": config.embedding_dim}
            (folder / "gmm/config.json").write_text(json.dumps(sizes))
            (folder / "pca/config.json").write_text(json.dumps({"dim": config.embedding_dim}))
            config.save(folder / "config.yaml")
            run = runs.load_run(folder)  # with all the checks of a saved run
        except LabError as error:
            return None, str(error).replace(name, "").partition(";")[0].lstrip("/\\: ")
        except KeyError as error:
            return None, f"it has no {error.args[0]}"
    db = scores.davies_bouldin(test, runs.cluster_labels(run, test))
    return db, "one cluster only" if db is None else f"Davies-Bouldin {db:.4f}"
