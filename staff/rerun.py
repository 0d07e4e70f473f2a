"""Reproduce a Performance from the handed-in code; without that it is not accepted.

First the handed-in file's own ``fit`` runs under the run's settings and seed; if that misses or fails, its E-step
and M-step run under the lab's ``fit``. One must come within 2 % of the Davies-Bouldin index of the saved parameters,
find other parameters on half of the images, and fail without the file's E-step and M-step (``staff.refit``).
"""

import json
from dataclasses import dataclass, replace

import numpy as np
from safetensors.numpy import save

import sandbox
from grading import scores
from hi_mnist import data, files, runs
from hi_mnist.cli import LabError, no_resources
from hi_mnist.data import DataSet
from hi_mnist.files import ROOT
from hi_mnist.runs import SavedRun, TrainConfig
from hi_mnist.text import one_line
from staff.handout import student_copy

TOLERANCE = 0.02  # relative; rounding on another machine or an honest tol changes the index by less
SAME = 0.005  # relative; sampling error alone changes some parameter by more if half of the images are left out
LIMITS = sandbox.Limits(cpu_seconds=300, memory=6 * 2**30)
WAYS = {"own": "the handed-in fit", "steps": "its E-step and M-step under the lab's fit"}
BOUNDS = f"by at most {2 * len(WAYS)} fits a hand-in, each with {LIMITS.told()}"  # each way, and its probe
CONSTANT = "its parameters do not depend on the data: half of the images give the same"
UNKNOWN = "its fit works on all images only, not on half of them"
BORROWED = "its fit is scikit-learn's mixture, not its own E-step and M-step"
IDLE = "its fit does not use its own E-step and M-step"  # or has them once more: then the steps alone may do


@dataclass
class Reproduction:
    """The result of an attempt to reproduce a run."""

    way: str | None  # of ``WAYS``, whichever came close enough by its own work; None if neither did
    attempts: list[dict]  # of each way tried: ``way``, ``what`` and ``result`` in words, ``db`` (None if it failed)
    our_fault: bool = False  # a child could not be started, so nothing is known
    doubt: str = ""  # why a way that came close enough was not accepted; empty if none was refused

    def sentence(self, last: bool = False) -> str:
        """The attempts in words, or only the last one, which is the one that was accepted."""
        return "; ".join(f"{attempt['what']}: {attempt['result']}" for attempt in self.attempts[-1 if last else 0 :])


def reproduce(box: sandbox.Box, config: TrainConfig, db: float, images: DataSet) -> Reproduction:
    """Train again under the run's settings, and compare with the Davies-Bouldin index ``db`` of what it saved."""
    settings = {name: getattr(config, name) for name in ("n_components", "max_iter", "seed", "embedding_dim")}
    given = {"tasks.py": (ROOT / "staff/refit.py").read_bytes()}
    attempts, doubt = [], ""
    for way, what in WAYS.items():
        if way == "steps":
            given["given.py"] = student_copy("submission.py")[0]  # whose fit is the lab's
        options = {"settings": settings | {"mode": way}, "files": given, "limits": LIMITS}
        outcome = box.run("fit", {"images": data.flatten(images.train)}, **options)
        again, found, result = _judge(outcome, config, images.test)
        attempts.append({"way": way, "what": what, "db": found, "result": result})
        if found is not None and abs(found - db) <= TOLERANCE * db:
            options["limits"] = replace(LIMITS, cpu_seconds=2 * LIMITS.cpu_seconds)  # the probe fits twice
            half = runs.embed(again, images.train[1::2])
            # Repeated, and under the run's own settings: code may tell a probe by anything that is different.
            probed = box.run("probe", {"codes": np.resize(half, (len(images.train), half.shape[1]))}, **options)
            why = _doubt(outcome.arrays, probed)
            if probed.status != "internal" and not why:
                return Reproduction(way, attempts)
            doubt, outcome = doubt or why, probed
            attempts[-1]["result"] += f", but {why}" if why else f"; {probed.cause}"
            if why in (CONSTANT, BORROWED):
                break
        if outcome.status == "internal":
            return Reproduction(None, attempts, our_fault=True)
    return Reproduction(None, attempts, doubt=doubt)


def _doubt(full: dict[str, np.ndarray], probed: sandbox.Outcome) -> str:
    """Why parameters are not the work of the file's two steps on the data; empty if nothing says so."""
    if probed.status not in ("done", "internal"):
        return UNKNOWN
    left = probed.arrays
    half, idle = ({name: left.get(prefix + name) for name in ("means", "covs", "pi")} for prefix in ("", "idle_"))
    if _same(full, half):
        return CONSTANT
    tried = bool(np.any(left.get("called", True)))
    if idle["means"] is None or (tried and not _same(half, idle)):
        return ""
    return BORROWED if np.any(left.get("borrowed", False)) else IDLE


def _same(one: dict, other: dict) -> bool:
    """Whether two sets of parameters are nearly equal. The child may have left anything."""
    pairs = [(np.asarray(one[name]), np.asarray(other[name])) for name in ("means", "covs", "pi")]
    if any(a.dtype.kind not in "fiu" or a.shape != b.shape or a.size == 0 for a, b in pairs):
        return False
    return all(np.allclose(a, b, rtol=0, atol=SAME * np.abs(a).max()) for a, b in pairs)


def _judge(
    outcome: sandbox.Outcome, config: TrainConfig, test: np.ndarray
) -> tuple[SavedRun | None, float | None, str]:
    """A child's fit as a run, its Davies-Bouldin, and this in words; or None and the cause if it is not a mixture."""
    if outcome.status == "raised":
        where = f", line {outcome.error['line']}" if outcome.error["line"] else ""
        return None, None, f"{outcome.error['type']}{where}: {one_line(outcome.error['text'].partition(chr(10))[0])}"
    if outcome.status != "done":
        return None, None, outcome.cause
    if any(array.dtype.kind == "c" for array in outcome.arrays.values()):
        return None, None, "its parameters are complex numbers"
    with files.scratch("lab-rerun-") as folder:
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
            if no_resources(error):
                raise
            return None, None, str(error).replace(str(folder), "").partition(";")[0].lstrip("/\\: ")
        except KeyError as error:
            return None, None, f"it has no {error.args[0]}"
    db = scores.davies_bouldin(test, runs.cluster_labels(run, test))
    return run, db, "one cluster only" if db is None else f"Davies-Bouldin {db:.4f}"
