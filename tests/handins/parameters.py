"""Damaged runs: functions that spoil a good run folder, and what grading must make of it.

    for damage in parameters.DAMAGES:
        damage.apply(copy_of_a_run)      # a PCA run of train.py on the stand-in, K = 10, d = 10
        verdict = damage.performance     # as staff.grade_class has to give it without rerun; damage.rerun with it

ERROR and REVIEW come with 0 points. No damage may end in an exception, and none may harm the machine: what a trap would
do is to make the folder ``trapped`` beside the run, and nothing larger than 20 MB is written.
"""

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from safetensors.numpy import load, save
from scipy.stats import multivariate_normal

from hi_mnist.data import flatten, load_split

GMM, PCA = "gmm/gmm.safetensors", "pca/pca.safetensors"


class Damage(NamedTuple):
    """One way to spoil a run.

    Attributes:
        name: of its function.
        apply: changes a run folder.
        performance: the verdict of Performance when nothing is run again.
        rerun: the same when the run is made again from the solved submission.py.
        sample_index: the verdict of question 6, asked by grade.json where the damage writes one.
    """

    name: str
    apply: Callable[[Path], None]
    performance: str
    rerun: str
    sample_index: str


DAMAGES: list[Damage] = []


def damage(performance: str = "ERROR", rerun: str | None = None, sample_index: str | None = None):
    """Enter a function into ``DAMAGES``; by default the run is refused."""
    if sample_index is None:
        sample_index = "ERROR" if performance == "ERROR" else "SKIPPED"

    def enter(function):
        DAMAGES.append(Damage(function.__name__, function, performance, rerun or performance, sample_index))
        return function

    return enter


def edit(run: Path, file: str, **arrays) -> None:
    """Replace arrays of a safetensors file: by an array, or by a function of the old one."""
    content = {name: array.copy() for name, array in load((run / file).read_bytes()).items()}
    for name, new in arrays.items():
        content[name] = np.ascontiguousarray(new(content[name]) if callable(new) else new)
    (run / file).write_bytes(save(content))


def set_config(run: Path, **settings) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | settings))


def replace_line(run: Path, key: str, line: str) -> None:
    lines = [old for old in (run / "config.yaml").read_text().splitlines() if not old.startswith(f"{key}:")]
    (run / "config.yaml").write_text("\n".join([*lines, line, ""]))


def raw_safetensors(header: dict | bytes, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def codes_of_images(run: Path, split: str) -> np.ndarray:
    """The images of ``train`` or ``test`` in the run's own PCA coordinates: (N, d)."""
    pca = load((run / PCA).read_bytes())
    return (flatten(load_split(split, "digits")[0]) - pca["mean"]) @ pca["components"].T


def commonest_digits(run: Path) -> list[int]:
    """The most frequent true digit of each cluster, by SciPy's densities."""
    gmm, labels = load((run / GMM).read_bytes()), load_split("train", "digits")[1]
    codes = codes_of_images(run, "train")
    parts = zip(gmm["means"], gmm["covs"], gmm["pi"], strict=True)
    logs = [np.log(p) + multivariate_normal(m, c).logpdf(codes) for m, c, p in parts]
    clusters = np.argmax(logs, axis=0)
    return [int(np.bincount(labels[clusters == k], minlength=10).argmax()) for k in range(10)]


# --------------------------------------------------------------------------- settings


@damage()
def seed_in_scientific_notation(run):
    """YAML 1.1 reads 1e3 as text."""
    replace_line(run, "seed", "seed: 1e3")


@damage()
def octal_number_of_components(run):
    """YAML 1.1 reads 010 as 8."""
    replace_line(run, "n_components", "n_components: 010")


@damage()
def python_tag(run):
    replace_line(run, "seed", f"seed: !!python/object/apply:os.mkdir [{json.dumps(str(run.parent / 'trapped'))}]")


@damage()
def bomb_of_aliases(run):
    """Twelve lines that stand for 9^11 words."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (run / "config.yaml").write_text("\n".join([*lines, "embedding_dim: *a11", ""]))


@damage()
def nested_settings(run):
    (run / "config.yaml").write_text("seed: " + "[" * 30_000)


@damage()
def unknown_setting(run):
    set_config(run, performance=30)


@damage()
def settings_are_a_list(run):
    (run / "config.yaml").write_text("- use_pca\n- true\n")


@damage()
def another_data_set(run):
    set_config(run, dataset="fashion_mnist")


@damage(performance="SKIPPED")
def claims_to_be_an_ae_run(run):
    set_config(run, use_pca=False)


@damage()
def settings_say_nine_components(run):
    set_config(run, n_components=9)


@damage()
def settings_say_nine_dimensions(run):
    set_config(run, embedding_dim=9)


@damage(performance="REVIEW", sample_index="REVIEW")
def settings_say_a_million_components(run):
    """Were it believed, memory for a million covariances would be asked for."""
    set_config(run, n_components=10**6)


@damage()
def settings_say_another_number_than_json(run):
    (run / "gmm/config.json").write_text('{"n_components": 1e1, "data_dim": 10}')


@damage()
def octal_in_json(run):
    (run / "pca/config.json").write_text('{"dim": 010}')


@damage()
def nested_json(run):
    (run / "gmm/config.json").write_text("[" * 100_000)


# --------------------------------------------------------------------------- files


@damage()
def mixture_missing(run):
    (run / GMM).unlink()


@damage()
def empty_file(run):
    (run / GMM).write_bytes(b"")


@damage()
def truncated_data(run):
    (run / GMM).write_bytes((run / GMM).read_bytes()[:-8])


@damage()
def truncated_header(run):
    (run / PCA).write_bytes((run / PCA).read_bytes()[:50])


@damage()
def header_longer_than_memory(run):
    (run / GMM).write_bytes(raw_safetensors({}, length=2**62))


@damage()
def header_of_ten_megabytes(run):
    (run / GMM).write_bytes(raw_safetensors(b'{"means": "' + b" " * 10_000_000 + b'"}'))


@damage()
def shape_longer_than_memory(run):
    header = {
        name: {"dtype": "F64", "shape": [2**40, 2**40], "data_offsets": [0, 8]} for name in ("means", "covs", "pi")
    }
    (run / GMM).write_bytes(raw_safetensors(header, bytes(8)))


@damage()
def arrays_share_their_bytes(run):
    sizes = {"means": [10, 10], "covs": [10, 10, 10], "pi": [10]}
    header = {
        name: {"dtype": "F64", "shape": shape, "data_offsets": [0, 8 * int(np.prod(shape))]}
        for name, shape in sizes.items()
    }
    (run / GMM).write_bytes(raw_safetensors(header, bytes(8000)))


@damage()
def a_pickle(run):
    (run / GMM).write_bytes(pickle.dumps(_Trap(run.parent / "trapped")))


@damage()
def a_torch_file(run):
    """A zip with a pickle in it, as torch.save writes."""
    with zipfile.ZipFile(run / GMM, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Trap(run.parent / "trapped")))


@damage()
def both_files_exchanged(run):
    gmm, pca = (run / GMM).read_bytes(), (run / PCA).read_bytes()
    (run / GMM).write_bytes(pca)
    (run / PCA).write_bytes(gmm)


@damage()
def bfloat16(run):
    shapes = {"means": [10, 10], "covs": [10, 10, 10], "pi": [10]}
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
        at = end
    (run / GMM).write_bytes(raw_safetensors(header, bytes(at)))


@damage()
def whole_numbers(run):
    edit(run, GMM, means=lambda a: a.astype(np.int64))


@damage(performance="PASS")
def single_precision(run):
    """No damage: float32 is as good."""
    edit(run, GMM, means=lambda a: a.astype(np.float32), covs=lambda a: a.astype(np.float32))


@damage(performance="PASS")
def more_arrays_than_needed(run):
    """No damage: what else lies in the file is left alone."""
    edit(run, GMM, labels=np.zeros(1000))


# --------------------------------------------------------------------------- parameters that are none


@damage()
def nan_in_means(run):
    edit(run, GMM, means=lambda a: np.where(np.arange(a.size).reshape(a.shape) == 7, np.nan, a))


@damage()
def infinite_covariance(run):
    edit(run, GMM, covs=lambda a: a * np.inf)


@damage()
def huge_mean_image(run):
    edit(run, PCA, mean=lambda a: a + 1e300)


@damage()
def weights_sum_to_more(run):
    edit(run, GMM, pi=lambda a: a * 1.01)


@damage()
def negative_weight(run):
    edit(run, GMM, pi=np.array([-0.5, 1.5, *[0.0] * 8]))


@damage()
def not_positive_definite(run):
    edit(run, GMM, covs=lambda a: a - 2 * np.diagonal(a, axis1=1, axis2=2).max() * np.eye(10) * (np.arange(10) == 3))


@damage()
def singular_covariance(run):
    edit(run, GMM, covs=lambda a: a * (np.arange(10) != 4)[:, None] * (np.arange(10) != 4))


@damage()
def not_symmetric(run):
    edit(run, GMM, covs=lambda a: a + np.triu(np.ones((10, 10)), 1) * a.max())


@damage()
def nine_means(run):
    edit(run, GMM, means=lambda a: a[:9])


@damage()
def transposed_components(run):
    edit(run, PCA, components=lambda a: a.T)


# --------------------------------------------------------------------------- sound, and not what was trained


@damage(performance="REVIEW")
def nine_components(run):
    """Nine everywhere: a sound run, but not of the lab's K."""
    set_config(run, n_components=9)
    (run / "gmm/config.json").write_text('{"n_components": 9, "data_dim": 10}')
    edit(run, GMM, means=lambda a: a[:9], covs=lambda a: a[:9], pi=lambda a: a[:9] / a[:9].sum())


@damage(performance="REVIEW")
def one_label_only(run):
    """One component has all the weight: Davies-Bouldin is not defined."""
    edit(run, GMM, pi=np.eye(10)[0], means=lambda a: a * 0, covs=lambda a: np.stack([np.eye(10) * 1e6] * 10))


@damage(performance="REVIEW")
def singleton_clusters(run):
    """Nine components sit on one test image each, one covers the rest: an index of 0.65 where digits have 3.8."""
    codes = codes_of_images(run, "test")
    far = np.argsort(np.linalg.norm(codes - codes.mean(axis=0), axis=1))[-9:]
    covs = np.stack([np.eye(10) * 1e-3] * 9 + [np.cov(codes.T)])
    edit(run, GMM, means=np.vstack([codes[far], codes.mean(axis=0)]), covs=covs, pi=np.full(10, 0.1))


@damage(performance="PASS", rerun="REVIEW")
def fitted_to_the_test_images(run):
    """Clusters by k-means in pixel space, on the test images themselves, passed off as the mixture's."""
    from sklearn.cluster import KMeans

    images, codes = flatten(load_split("test", "digits")[0]), codes_of_images(run, "test")
    labels = KMeans(10, n_init=5, random_state=0).fit(images.astype(np.float64)).labels_
    means = np.stack([codes[labels == k].mean(axis=0) for k in range(10)])
    edit(run, GMM, means=means, covs=np.stack([np.eye(10) * 1e4] * 10), pi=np.full(10, 0.1))


@damage(performance="PASS", rerun="REVIEW")
def fitted_to_the_labels(run):
    """The ten digits' own means and covariances, from the labels that a student must not use."""
    codes, labels = codes_of_images(run, "train"), load_split("train", "digits")[1]
    parts = [codes[labels == digit] for digit in range(10)]
    covs = np.stack([np.cov(part.T) + np.eye(10) for part in parts])
    edit(run, GMM, means=np.stack([p.mean(axis=0) for p in parts]), covs=covs, pi=np.bincount(labels) / len(labels))


@damage(performance="REVIEW")
def scrambled_components(run):
    """What safetensors makes of a transposed array: the right numbers in the wrong places, without a word."""
    edit(run, PCA, components=lambda a: np.asfortranarray(a).ravel(order="K").reshape(a.shape))


@damage(performance="PASS", rerun="REVIEW")
def settings_of_another_run(run):
    """The parameters of one run beside the seed and the iterations of another."""
    set_config(run, seed=7, max_iter=1)


# --------------------------------------------------------------------------- claims


@damage(performance="PASS")
def forged_scores(run):
    claim = {"auto_score": 70, "db": 0.1, "questions": [{"id": "performance", "score": 30, "verdict": "PASS"}]}
    (run / "grade.json").write_text(json.dumps(claim))


@damage(performance="PASS")
def nested_claim(run):
    (run / "grade.json").write_text("[" * 100_000)


@damage(performance="PASS", sample_index="PASS")
def the_right_cluster(run):
    """No damage: the answer to question 6."""
    (run / "grade.json").write_text(json.dumps({"sample_index": commonest_digits(run).index(6)}))


@damage(performance="PASS", sample_index="WRONG")
def a_wrong_cluster(run):
    """Another cluster, with the points for the right one."""
    wrong = next(k for k, digit in enumerate(commonest_digits(run)) if digit != 6)
    claim = {"sample_index": wrong, "questions": [{"id": "sample_index", "score": 5, "verdict": "PASS"}]}
    (run / "grade.json").write_text(json.dumps(claim))


@damage(performance="PASS", sample_index="WRONG")
def cluster_that_is_not_there(run):
    (run / "grade.json").write_text('{"sample_index": 10}')


@damage(performance="PASS")
def cluster_that_is_no_number(run):
    (run / "grade.json").write_text('{"sample_index": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}')


class _Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)
