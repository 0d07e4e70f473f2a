"""Damaged runs: ways to spoil a good run folder, and what grading must make of it.

    for damage in parameters.DAMAGES:
        damage.apply(copy_of_a_run)      # a PCA run of train.py on the stand-in, K = 10, d = 10
        verdict = damage.performance     # as staff.grade_class has to give it without rerun; damage.rerun with it

ERROR and REVIEW come with 0 points. No damage may end in an exception, and none may harm the machine: what a trap would
do is to make the folder ``trapped`` beside the run, and nothing larger than 20 MB is written.
"""

import json
import math
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from safetensors.numpy import load, save
from scipy.stats import multivariate_normal

from hi_mnist.data import flatten, load_split

GMM, PCA = "gmm/gmm.safetensors", "pca/pca.safetensors"
SHAPES = {"means": [10, 10], "covs": [10, 10, 10], "pi": [10]}


@dataclass(frozen=True)
class Damage:
    """One way to spoil a run."""

    name: str  # what it does
    apply: Callable[[Path], object]  # changes a run folder
    performance: str = "ERROR"  # the verdict of Performance when nothing is run again
    rerun: str = ""  # the same when the solved submission.py runs again; as ``performance`` when empty
    # The verdict of question 6, asked by grade.json where the damage writes one. When empty: SKIPPED, or ERROR if the
    # run is refused.
    sample_index: str = ""

    def __post_init__(self):
        object.__setattr__(self, "rerun", self.rerun or self.performance)
        skipped = "ERROR" if self.performance == "ERROR" else "SKIPPED"
        object.__setattr__(self, "sample_index", self.sample_index or skipped)


# --------------------------------------------------------------------------- what damages are made of


def written(file: str, content: str | bytes) -> Callable[[Path], object]:
    """Put other content into a file of the run."""
    content = content if isinstance(content, bytes) else content.encode()
    return lambda run: (run / file).write_bytes(content)


def edited(file: str, **arrays) -> Callable[[Path], object]:
    """Replace arrays of a safetensors file: by an array, or by a function of the old one."""

    def apply(run: Path) -> None:
        content = {name: array.copy() for name, array in load((run / file).read_bytes()).items()}
        for name, new in arrays.items():
            content[name] = np.ascontiguousarray(new(content[name]) if callable(new) else new)
        (run / file).write_bytes(save(content))

    return apply


def config(**settings) -> Callable[[Path], object]:
    """Change settings in config.yaml."""

    def apply(run: Path) -> None:
        path = run / "config.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | settings))

    return apply


def line(key: str, text: str) -> Callable[[Path], object]:
    """Exchange the line of a setting in config.yaml; ``@TRAP@`` is the path of the folder ``trapped``."""

    def apply(run: Path) -> None:
        path = run / "config.yaml"
        lines = [old for old in path.read_text().splitlines() if not old.startswith(f"{key}:")]
        path.write_text("\n".join([*lines, text.replace("@TRAP@", json.dumps(str(run.parent / "trapped"))), ""]))

    return apply


def every(*steps: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda run: [step(run) for step in steps]


def raw_safetensors(header: dict, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


class _Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def a_pickle(run: Path) -> None:
    (run / GMM).write_bytes(pickle.dumps(_Trap(run.parent / "trapped")))


# --------------------------------------------------------------------------- sound parameters of other origin


def codes_of_images(run: Path, split: str) -> np.ndarray:
    """The images of ``train`` or ``test`` in the run's own PCA coordinates: (N, d)."""
    pca = load((run / PCA).read_bytes())
    return (flatten(load_split(split, "digits")[0]) - pca["mean"]) @ pca["components"].T


def singleton_clusters(run: Path) -> None:
    """Nine components sit on one test image each, one covers the rest: an index of 0.65 where digits have 3.8."""
    codes = codes_of_images(run, "test")
    far = np.argsort(np.linalg.norm(codes - codes.mean(axis=0), axis=1))[-9:]
    covs = np.stack([np.eye(10) * 1e-3] * 9 + [np.cov(codes.T)])
    edited(GMM, means=np.vstack([codes[far], codes.mean(axis=0)]), covs=covs, pi=np.full(10, 0.1))(run)


def fitted_to_the_test_images(run: Path) -> None:
    """Clusters by k-means in pixel space, on the test images themselves, passed off as the mixture's."""
    from sklearn.cluster import KMeans

    images, codes = flatten(load_split("test", "digits")[0]), codes_of_images(run, "test")
    labels = KMeans(10, n_init=5, random_state=0).fit(images.astype(np.float64)).labels_
    means = np.stack([codes[labels == k].mean(axis=0) for k in range(10)])
    edited(GMM, means=means, covs=np.stack([np.eye(10) * 1e4] * 10), pi=np.full(10, 0.1))(run)


def fitted_to_the_labels(run: Path) -> None:
    """The ten digits' own means and covariances, from the labels that a student must not use."""
    codes, labels = codes_of_images(run, "train"), load_split("train", "digits")[1]
    parts = [codes[labels == digit] for digit in range(10)]
    covs = np.stack([np.cov(part.T) + np.eye(10) for part in parts])
    pi = np.bincount(labels) / len(labels)
    edited(GMM, means=np.stack([p.mean(axis=0) for p in parts]), covs=covs, pi=pi)(run)


def answer_of_question_6(right: bool) -> Callable[[Path], object]:
    """grade.json names the cluster of sixes, or another one with the points for the right one."""

    def apply(run: Path) -> None:
        gmm, labels, codes = (
            load((run / GMM).read_bytes()),
            load_split("train", "digits")[1],
            codes_of_images(run, "train"),
        )
        parts = zip(gmm["means"], gmm["covs"], gmm["pi"], strict=True)
        clusters = np.argmax([np.log(p) + multivariate_normal(m, c).logpdf(codes) for m, c, p in parts], axis=0)
        commonest = [int(np.bincount(labels[clusters == k], minlength=10).argmax()) for k in range(10)]
        claim = {"sample_index": next(k for k, digit in enumerate(commonest) if (digit == 6) == right)}
        claim |= {} if right else {"questions": [{"id": "sample_index", "score": 5, "verdict": "PASS"}]}
        (run / "grade.json").write_text(json.dumps(claim))

    return apply


SHARED = {
    name: {"dtype": "F64", "shape": shape, "data_offsets": [0, 8 * math.prod(shape)]} for name, shape in SHAPES.items()
}
BEYOND_MEMORY = {name: {"dtype": "F64", "shape": [2**40, 2**40], "data_offsets": [0, 8]} for name in SHAPES}
CLAIM = {"auto_score": 70, "db": 0.1, "questions": [{"id": "performance", "score": 30, "verdict": "PASS"}]}
NINE = {name: lambda a: a[:9] for name in ("means", "covs")} | {"pi": lambda a: a[:9] / a[:9].sum()}
ONE_LABEL = {"pi": np.eye(10)[0], "means": lambda a: a * 0, "covs": lambda a: np.stack([np.eye(10) * 1e6] * 10)}
IN_FLOAT32 = {name: lambda a: a.astype(np.float32) for name in ("means", "covs")}

DAMAGES = [  # test_runs.py has all that makes a run one that cannot be loaded; here is one of each kind
    # Settings.
    Damage("octal K, which YAML 1.1 reads as 8", line("n_components", "n_components: 010")),
    Damage("python tag", line("seed", "seed: !!python/object/apply:os.mkdir [@TRAP@]")),
    Damage("another data set", config(dataset="fashion_mnist")),
    Damage("claims to be an AE run", config(use_pca=False), "SKIPPED"),
    # Were it believed, memory for a million covariances would be asked for.
    Damage("settings say a million components", config(n_components=10**6), "REVIEW", sample_index="REVIEW"),
    # Files.
    Damage("mixture missing", lambda run: (run / GMM).unlink()),
    Damage("shape longer than memory", written(GMM, raw_safetensors(BEYOND_MEMORY, bytes(8)))),
    Damage("arrays share their bytes", written(GMM, raw_safetensors(SHARED, bytes(8000)))),
    Damage("a pickle", a_pickle),
    Damage("float32, which is as good", edited(GMM, **IN_FLOAT32), "PASS"),
    Damage("more arrays than needed", edited(GMM, labels=np.zeros(1000)), "PASS"),
    Damage("NaN in means", edited(GMM, means=lambda a: np.where(np.arange(a.size).reshape(a.shape) == 7, np.nan, a))),
    # Sound, and not what was trained.
    Damage(
        "nine components everywhere: not the lab's K",
        every(
            config(n_components=9),
            written("gmm/config.json", '{"n_components": 9, "data_dim": 10}'),
            edited(GMM, **NINE),
        ),
        "REVIEW",
    ),
    Damage("one label only: Davies-Bouldin is not defined", edited(GMM, **ONE_LABEL), "REVIEW"),
    Damage("singleton clusters", singleton_clusters, "REVIEW"),
    Damage("fitted to the test images", fitted_to_the_test_images, "PASS", rerun="REVIEW"),
    Damage("fitted to the labels", fitted_to_the_labels, "PASS", rerun="REVIEW"),
    # What safetensors makes of a transposed array: the right numbers in the wrong places, without a word.
    Damage(
        "scrambled components",
        edited(PCA, components=lambda a: np.asfortranarray(a).ravel(order="K").reshape(a.shape)),
        "REVIEW",
    ),
    Damage("settings of another run", config(seed=7, max_iter=1), "PASS", rerun="REVIEW"),
    # Claims.
    Damage("forged scores", written("grade.json", json.dumps(CLAIM)), "PASS"),
    Damage("nested claim", written("grade.json", "[" * 100_000), "PASS"),
    Damage("the right cluster", answer_of_question_6(right=True), "PASS", sample_index="PASS"),
    Damage("a wrong cluster", answer_of_question_6(right=False), "PASS", sample_index="WRONG"),
    Damage("cluster that is not there", written("grade.json", '{"sample_index": 10}'), "PASS", sample_index="WRONG"),
    Damage("cluster that is not a number", written("grade.json", f'{{"sample_index": {[*range(10)]}}}'), "PASS"),
]
