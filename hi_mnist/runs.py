"""Runs: their settings, their folders, and reading and checking saved runs.

    >>> run = load_run("results/2026-01-31_09-30-00")
    >>> clusters = cluster_labels(run, images)        # int64 (N,)

Symbols: N images, D = 784 pixels, d embedding dimensions, K components. Pixels are 0..255.
"""

import csv
import dataclasses
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from hi_mnist import cli, settings
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS, N_PIXELS, flatten
from hi_mnist.files import lab_home, read_json, read_tensors, results_dir
from hi_mnist.networks import ae_encode, load_ae
from hi_mnist.settings import brief, check, setting

REMEDY = "train the run again or restore the file"
LARGEST_TRACE = 1 << 20  # bytes
LARGEST_NUMBER = 1e15  # in a saved model; pixels and their squares stay far below


class NoRunYet(LabError):
    """No run was named, and none has been trained."""


@dataclass
class TrainConfig:
    """The settings of a run, saved as ``config.yaml``. Defaults, ranges, flags and help texts live here, nowhere else.

    ``results_path`` is the folder as the user gave it, None for ``results/<datetime>``; it is never used as a path
    after training, because results folders may be moved. ``ae`` is None for the shipped AutoEncoder.
    """

    embedding_dim: int = setting(
        10, f"dimensions of the PCA embedding, 1 to {N_PIXELS}; ignored without --use_pca", metavar="d"
    )
    use_pca: bool = setting(False, "embed by PCA (default: by the AutoEncoder)")
    n_components: int = setting(10, "number of clusters; keep it at the number of classes", low=1, metavar="K")
    max_iter: int = setting(100, "maximum number of EM iterations", low=1, metavar="N")
    results_path: str | None = setting(
        None, "folder of this run, new or empty (default: results/<datetime>)", metavar="DIR"
    )
    seed: int = setting(123, "random seed", low=0, high=2**32 - 1)
    dataset: str = setting("mnist", "what the run was trained on", choices=DATASETS, flag=False)
    ae: str | None = setting(
        None, "another AutoEncoder, a Hub id or a folder (default: LAB_AE, else shipped)", metavar="ID_OR_FOLDER"
    )

    def validate(self, n_samples: int | None = None) -> "TrainConfig":
        """Check types and ranges; ``n_samples``, the number of images, is the upper bound of ``n_components``.

        Raises:
            LabError: it names the setting, its value and what is allowed.
        """
        check(self)
        d, k = self.embedding_dim, self.n_components
        if self.use_pca and not 1 <= d <= N_PIXELS:
            raise LabError(f"embedding_dim must be between 1 and {N_PIXELS}, the number of pixels, got {d}")
        if n_samples is not None and k > n_samples:
            raise LabError(f"n_components must be at most {n_samples}, the number of training images, got {k}")
        return self

    def save(self, path: Path | str) -> None:
        """Write ``config.yaml``: the lab's six keys, then ``dataset``, and ``ae`` in AE runs that name a network."""
        content = dataclasses.asdict(self)
        if self.ae is None:
            del content["ae"]
        settings.save(content, path)

    @classmethod
    def load(cls, path: Path | str) -> "TrainConfig":
        """Read and check ``config.yaml``; missing keys take their defaults. Raises LabError as ``settings.load``."""
        config = settings.load(cls, path)
        try:
            return config.validate()
        except LabError as error:
            raise LabError(f"{path}: {error}") from None


@dataclass
class SavedRun:
    """A run read back from its folder, checked; all arrays are float64."""

    path: Path
    config: TrainConfig
    means: np.ndarray  # (K, d)
    covs: np.ndarray  # (K, d, d)
    pi: np.ndarray  # (K,)
    components: np.ndarray | None = None  # (d, 784); None in AE runs
    mean: np.ndarray | None = None  # (784,)
    ae: object = field(default=None, repr=False)

    @property
    def n_components(self) -> int:
        return len(self.pi)

    def __str__(self) -> str:
        """The line with which each script names its run."""
        way = "PCA" if self.config.use_pca else "AutoEncoder"
        return f"run: {self.path} ({way} to {self.means.shape[1]}, K {self.n_components})"


@contextmanager
def new_run_path(results_path: str | None, prefix: str = "") -> Iterator[Path]:
    """The folder of a new run: ``results_path``, relative to the working directory, else ``results/PREFIX<now>``.

    The latter's name is its own, even if others start in the same second: they get ``...-2``, ``...-3``.

    Raises:
        LabError: the path is empty, or in a folder of prepared data or caches.
    """
    if results_path == "":
        raise LabError("--results_path is empty; name a folder or leave it out")
    if results_path is not None:
        path = Path(results_path).expanduser().resolve()
        kept_out = [lab_home() / "cache", *(lab_home() / f"{dataset}_encoded" for dataset in DATASETS)]
        if any(folder.resolve() in (path, *path.parents) for folder in kept_out):
            raise LabError(f"{path} is in a folder that is rewritten when data are prepared; name another one")
        yield path
        return
    name = f"{prefix}{datetime.now().strftime('%Y-%m-%d_%H-%M-%S')}"
    for n in itertools.count(1):
        path = results_dir() / (f"{name}-{n}" if n > 1 else name)
        mark = path.with_name(f".{path.name}.claimed")  # a hidden folder keeps the name for us
        try:
            mark.mkdir(parents=True)
        except FileExistsError:
            continue
        try:
            if not path.exists():
                yield path
                return
        finally:
            mark.rmdir()


def run_option(path: Path) -> str:
    """The flag that makes a command work on this run: empty for the newest run, else its ``--results_path``."""
    with suppress(LabError):
        if find_run(None) == path:
            return ""
    return f" {cli.quoted('--results_path', path)}"


def six_is_found(report: dict) -> bool:
    """Whether the content of a grade.json answers question 6, as far as it was scored rightly."""
    questions = report.get("questions")
    scored = [q for q in questions if isinstance(q, dict)] if isinstance(questions, list) else []
    wrong = any((q.get("id"), q.get("verdict")) == ("sample_index", "WRONG") for q in scored)
    return report.get("sample_index") is not None and not wrong


def next_step(run: SavedRun) -> str:
    """The line that names the next command of the lab, by what the run's folder holds."""
    option, report, counts = run_option(run.path), read_json(run.path / "grade.json"), run.config.use_pca
    lacks = {
        name: not any(run.path.glob(name)) for name in ("true_*", "cluster_*", "comparison.*", "*.md", "report.pdf")
    }
    draft = f"python grade.py --report_draft{option}"
    where = 'with the number k of the cluster that lies where the true "6" lies'
    steps = [
        (lacks["true_*"], f"python visualization.py{option}"),
        (lacks["cluster_*"], f"python visualization.py --cluster_label{option}"),
        (not counts and not report, f"python grade.py{option}"),
        (not counts, "python train.py --use_pca, for the run that counts"),
        (not six_is_found(report), f"python grade.py --sample_index k{option}, {where}"),
        (lacks["comparison.*"] and lacks["*.md"], f"python visualization.py --compare{option}"),
        (lacks["*.md"], draft),
        (lacks["report.pdf"], f"finish report.md, then {draft}, and print report_print.html as report.pdf"),
        (True, f"python grade.py --hand_in --student_id ID --name NAME{option}"),
    ]
    return f"next: {next(step for is_due, step in steps if is_due)}"


def find_run(results_path: str | Path | None, pca_first: bool = False) -> Path:
    """The run folder that was named, or the newest under ``results/``: with ``pca_first`` the newest PCA run, if any.

    Raises:
        LabError: there is no run, or the path is not a folder.
    """
    if results_path == "":
        raise LabError("--results_path is empty; name a run's folder or leave it out")
    if results_path is None:
        # Skip hidden folders: a killed training leaves its unfinished folder under a hidden name.
        runs = [p.parent for p in results_dir().glob("[!.]*/config.yaml") if (p.parent / "gmm").is_dir()]
        if not runs:
            raise NoRunYet(f"there is no run in {results_dir()} yet; train one: python train.py --use_pca")
        if pca_first:
            runs = [run for run in runs if (run / "pca").is_dir()] or runs
        return max(runs, key=lambda run: (run / "config.yaml").stat().st_mtime_ns)
    path = Path(results_path).expanduser().resolve()
    if not path.is_dir():
        why = f"{path} is a file, not a run folder" if path.is_file() else f"there is no run folder {path}"
        raise LabError(f"{why}; name one that train.py wrote, or leave --results_path out")
    return path


def load_run(results_path: str | Path | None, to_write: bool = False) -> SavedRun:
    """Read a run, None for the newest, and check what later steps rely on.

    ``to_write`` says that pictures or scores will be written into its folder.

    Raises:
        LabError: a file is missing or damaged, its arrays are not a mixture of such data, or the folder is read-only.
    """
    path = find_run(results_path)
    if to_write and not os.access(path, os.W_OK):
        raise LabError(f"the run folder {path} cannot be written to; copy it to a folder that you may write to")
    config = TrainConfig.load(path / "config.yaml")
    k, d = _read_sizes(path / "gmm" / "config.json", "n_components", "data_dim")
    agree = [("n_components in config.yaml", config.n_components, f"the mixture has {k}", k)]
    if config.use_pca:
        (dim,) = _read_sizes(path / "pca" / "config.json", "dim")
        agree.append(("embedding_dim in config.yaml", config.embedding_dim, f"the PCA has {dim} components", dim))
        agree.append(("data_dim of the mixture", d, f"the PCA has {dim} components", dim))
    for name, value, other, wanted in agree:  # before the arrays: a million components would take minutes to check
        if value != wanted:
            raise LabError(f"{path}: {name} is {value}, but {other}; {REMEDY}")
    gmm_path = path / "gmm" / "gmm.safetensors"
    arrays = _read_arrays(gmm_path, {"means": (k, d), "covs": (k, d, d), "pi": (k,)})
    _check_mixture(gmm_path, arrays["pi"], arrays["covs"])
    if config.use_pca:
        arrays |= _read_arrays(path / "pca" / "pca.safetensors", {"components": (dim, N_PIXELS), "mean": (N_PIXELS,)})
    return SavedRun(path, config, **arrays)


def read_trace(folder: Path) -> np.ndarray | None:
    """The mean log-likelihood of each EM iteration, float64 (n,), in ``trace.csv``; None if that is missing or bad."""
    path = folder / "trace.csv"
    try:
        if path.stat().st_size > LARGEST_TRACE:
            return None
        with path.open(encoding="utf-8", newline="") as file:
            values = np.array([float(row["mean_log_likelihood"]) for row in csv.DictReader(file)])
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None
    return values if len(values) and (np.abs(values) < LARGEST_NUMBER).all() else None


def fall(trace) -> str:
    """A sentence on the first of n iterations at which the likelihoods, float (n,), fell; empty if they never did."""
    values = np.asarray(trace, dtype=np.float64)
    fell = np.flatnonzero(np.diff(values) < -1e-6 * np.abs(values).max(initial=0))
    return f"the log-likelihood fell at iteration {fell[0] + 2}; EM never does: check 1.1 and 1.2" if len(fell) else ""


def _read_sizes(path: Path, *names: str) -> list[int]:
    """Positive whole numbers of a model's ``config.json``."""
    if not path.is_file():
        raise LabError(f"{path} is missing; {REMEDY}")
    content = read_json(path)
    for name in names:
        value = content.get(name)
        if type(value) is not int or value < 1:
            raise LabError(f"{path}: {name} must be a positive whole number, got {brief(value)}; {REMEDY}")
    return [content[name] for name in names]


def _read_arrays(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The arrays of a model as float64: real, finite, of these shapes, and small enough to be squared."""
    arrays = read_tensors(path, tuple(shapes), REMEDY)
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise LabError(f"{path}: {name} holds {array.dtype}, not floating-point numbers; {REMEDY}")
        arrays[name] = array = array.astype(np.float64)
        if array.shape != shapes[name]:
            raise LabError(f"{path}: {name} has shape {array.shape}, but its config.json says {shapes[name]}; {REMEDY}")
        if not np.isfinite(array).all():
            raise LabError(f"{path}: {name} holds NaN or infinity; {REMEDY}")
        if np.abs(array).max() > LARGEST_NUMBER:
            raise LabError(f"{path}: {name} holds numbers up to {np.abs(array).max():.3g}, not of pixels; {REMEDY}")
    return arrays


def _check_mixture(path: Path, pi: np.ndarray, covs: np.ndarray) -> None:
    """Check that the weights sum to one, and that the covariances are symmetric and positive definite."""
    if (pi < 0).any() or abs(pi.sum() - 1) > 1e-4:
        raise LabError(f"{path}: pi must be non-negative and sum to 1, but its sum is {pi.sum():.6g}; {REMEDY}")
    for k, cov in enumerate(covs):
        if not np.allclose(cov, cov.T, rtol=1e-4, atol=1e-6 * max(1.0, np.abs(cov).max())):
            raise LabError(f"{path}: the covariance of component {k} is not symmetric; {REMEDY}")
        try:
            singular = np.diag(np.linalg.cholesky((cov + cov.T) / 2)).min() < 1 / LARGEST_NUMBER
        except np.linalg.LinAlgError:
            singular = True
        if singular:
            raise LabError(f"{path}: the covariance of component {k} is not positive definite; {REMEDY}")


def embed(run: SavedRun, images: np.ndarray) -> np.ndarray:
    """The run's own embedding of images (N, 1, 28, 28): float64 (N, d).

    Raises:
        LabError: the AE of an AE run embeds into another number of dimensions than its mixture has.
    """
    if run.components is not None:
        rows = flatten(images)
        blocks = [(rows[i : i + 4096] - run.mean) @ run.components.T for i in range(0, len(rows), 4096)]
        return np.concatenate(blocks)
    run.ae = run.ae or load_ae(run.config.ae)
    codes = ae_encode(run.ae, images)
    if codes.shape[1] != run.means.shape[1]:
        raise LabError(
            f"{run.path}: the mixture has {run.means.shape[1]} dimensions, but the AE embeds into {codes.shape[1]}; "
            "name the run's AE with --ae"
        )
    return codes.astype(np.float64)


def mixture(run: SavedRun):
    """The run's mixture as a scikit-learn GaussianMixture with these parameters set.

    It computes a run's labels and likelihoods in the log domain, independently of submission.py.
    """
    from sklearn.mixture import GaussianMixture

    covs = (run.covs + run.covs.transpose(0, 2, 1)) / 2
    gmm = GaussianMixture(run.n_components)
    # A weight of zero would make scikit-learn take log 0, with a warning.
    weights = np.maximum(run.pi / run.pi.sum(), np.finfo(np.float64).tiny)
    gmm.weights_, gmm.means_, gmm.covariances_ = weights, run.means, covs
    # P with P P^T = inv(cov), upper triangular as in scikit-learn
    gmm.precisions_cholesky_ = np.array([np.linalg.inv(np.linalg.cholesky(cov)).T for cov in covs])
    return gmm


def cluster_labels(run: SavedRun, images: np.ndarray) -> np.ndarray:
    """The most probable component of each image (N, 1, 28, 28) under the saved parameters: int64 (N,)."""
    return mixture(run).predict(embed(run, images))
