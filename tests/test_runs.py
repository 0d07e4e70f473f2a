"""Run folders: settings and models are written and read back; damage is one line that names the file."""

import json
import os
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from hi_mnist import cli, files, runs
from hi_mnist.cli import LabError
from hi_mnist.files import LONGEST_HEADER
from hi_mnist.runs import TrainConfig
from submission import GMM, PCA

K, D = 3, 2
SIX_KEYS = ("embedding_dim", "use_pca", "n_components", "max_iter", "results_path", "seed")


def write_run(folder: Path, **changes) -> Path:
    """A small, valid PCA run as train.py writes it."""
    rng = np.random.default_rng(0)
    gmm, pca = GMM(K, D), PCA(D)
    gmm.means = rng.normal(scale=50, size=(K, D))
    gmm.covs = np.stack([np.eye(D) * (k + 1) for k in range(K)])
    gmm.pi = np.array([0.2, 0.3, 0.5])
    pca.components, pca.mean = np.linalg.qr(rng.normal(size=(784, D)))[0].T, np.full(784, 33.0)
    folder.mkdir()
    gmm.save_pretrained(folder / "gmm")
    pca.save_pretrained(folder / "pca")
    TrainConfig(**{"embedding_dim": D, "use_pca": True, "n_components": K} | changes).save(folder / "config.yaml")
    return folder


@pytest.fixture
def run(tmp_path) -> Path:
    return write_run(tmp_path / "run")


def refusal(run: Path) -> str:
    """The line with which ``load_run`` refuses a folder."""
    with pytest.raises(LabError) as caught:
        runs.load_run(run)
    line = cli.explain(caught.value)
    assert "\n" not in line
    assert len(line) < 600, "too long to be read"
    return line


def change(run: Path, file: str, **arrays) -> None:
    """Replace arrays of a safetensors file; None leaves one out."""
    path = run / file
    names = ("means", "covs", "pi") if file.startswith("gmm") else ("components", "mean")
    content = files.read_tensors(path, names, "") | arrays
    save_file({k: np.ascontiguousarray(v) for k, v in content.items() if v is not None}, path)


# --------------------------------------------------------------------------- what must load


def test_a_saved_run_comes_back(run):
    back, gmm = runs.load_run(run), GMM.from_pretrained(run / "gmm")
    assert back.path == run.resolve()
    assert back.config == TrainConfig(embedding_dim=D, use_pca=True, n_components=K)
    assert back.n_components == K
    for name in ("means", "covs", "pi"):
        assert np.array_equal(getattr(back, name), getattr(gmm, name))
    assert back.components.shape == (D, 784)
    assert (back.mean == 33).all()


def test_every_setting_comes_back_missing_ones_take_defaults_and_other_spellings_are_read(tmp_path):
    settings = {"embedding_dim": 7, "use_pca": True, "n_components": 4, "max_iter": 3, "seed": 2**32 - 1}
    config = TrainConfig(**settings, results_path="C:\\läuf: #1 'a'", dataset="digits", ae="owner/name")
    config.save(tmp_path / "config.yaml")
    assert TrainConfig.load(tmp_path / "config.yaml") == config
    TrainConfig().save(tmp_path / "config.yaml")
    assert tuple(yaml.safe_load((tmp_path / "config.yaml").read_text())) == (*SIX_KEYS, "dataset")
    path = tmp_path / "config.yaml"
    path.write_text("use_pca: true\n")
    assert TrainConfig.load(path) == TrainConfig(use_pca=True)
    for text in ("\ufeffuse_pca: true\r\nseed: 1\r\n", "{use_pca: true, seed: 1}", "# hi\nuse_pca: yes\nseed: 0x1"):
        path.write_text(text, encoding="utf-8", newline="")
        assert TrainConfig.load(path) == TrainConfig(use_pca=True, seed=1)


def test_a_run_as_the_original_lab_wrote_it_loads(run):
    lines = [f"embedding_dim: {D}", "use_pca: true", f"n_components: {K}", "max_iter: 100", "seed: 42"]
    for results_path in ("null", "./results/2024-05-01_12-00-00", "'C:\\old\\place'", "/gone"):
        (run / "config.yaml").write_text("\n".join([*lines, f"results_path: {results_path}", ""]))
        back = runs.load_run(run)
        assert back.path == run.resolve()  # results_path is never used as a path
        assert (back.config.dataset, back.config.ae, back.config.seed) == ("mnist", None, 42)


def test_every_floating_point_type_of_numpy_is_read_as_float64(run):
    import torch
    from safetensors.torch import save_file as save_torch

    for dtype in (np.float16, np.float32, np.float64):
        change(run, TENSORS[0], means=np.ones((K, D), dtype), pi=np.array([0.25, 0.25, 0.5], dtype))
        back = runs.load_run(run)
        assert back.means.dtype == back.pi.dtype == np.float64
        assert back.pi.tolist() == [0.25, 0.25, 0.5]
    tensors = {"means": torch.zeros(K, D), "covs": torch.eye(D).repeat(K, 1, 1), "pi": torch.full((K,), 1 / K)}
    save_torch({k: v.to(torch.bfloat16).contiguous() for k, v in tensors.items()}, run / TENSORS[0])
    assert str(run / TENSORS[0]) in refusal(run)


def test_an_ae_run_needs_no_pca_and_its_embedding_dim_may_disagree(run):
    shutil.rmtree(run / "pca")
    TrainConfig(embedding_dim=0, n_components=K).save(run / "config.yaml")
    back = runs.load_run(run)
    assert back.components is None and back.mean is None
    assert back.means.shape == (K, D)


def test_labels_of_a_run_are_those_of_the_largest_joint_density(run):
    from scipy.stats import multivariate_normal

    back = runs.load_run(run)
    images = np.random.default_rng(1).integers(0, 256, size=(200, 1, 28, 28), dtype=np.uint8)
    Z = (images.reshape(200, -1) - back.mean) @ back.components.T
    joint = [p * multivariate_normal(m, c).pdf(Z) for p, m, c in zip(back.pi, back.means, back.covs, strict=True)]
    clear = np.sort(joint, axis=0)[-1] > 0
    assert clear.sum() > 5
    assert np.array_equal(runs.cluster_labels(back, images)[clear], np.argmax(joint, axis=0)[clear])


def test_a_weight_of_zero_is_scored_without_a_warning(run):
    change(run, "gmm/gmm.safetensors", pi=np.array([0.0, 0.4, 0.6]))
    images = np.random.default_rng(1).integers(0, 256, size=(50, 1, 28, 28), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = runs.cluster_labels(runs.load_run(run), images)
    assert 0 not in labels


# --------------------------------------------------------------------------- which run


def test_the_newest_whole_run_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    (tmp_path / "results").mkdir()
    write_run(tmp_path / "results" / ".2026-01-01_00-00-00.99.partial")  # a killed training left it
    with pytest.raises(LabError, match="train.py --use_pca"):
        runs.load_run(None)
    for age, name in enumerate(["b", "c", "a"]):
        run = write_run(tmp_path / "results" / name)
        os.utime(run / "config.yaml", (1000 - age, 1000 - age))
    assert runs.find_run(None) == tmp_path / "results" / "b"
    for name, newest in (("b", "c"), ("c", "a"), ("a", "b")):
        shutil.rmtree(tmp_path / "results" / name / "pca")
        assert runs.find_run(None, pca_first=True) == tmp_path / "results" / newest  # b again: no PCA run is left


def test_the_next_step_is_the_first_that_is_not_done(run_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    run, option = runs.load_run(run_folder), runs.run_option(run_folder)
    wrong = b'{"sample_index": 3, "questions": [{"id": "sample_index", "verdict": "WRONG"}]}'
    for name, content, wanted in (  # what is added, one after the other, and the step that is left
        ("config.yaml", None, "python visualization.py"),
        ("true_pca.png", b"", "python visualization.py --cluster_label"),
        ("cluster_ae.png", b"", "python grade.py --sample_index k"),
        ("grade.json", wrong, "python grade.py --sample_index k"),
        ("grade.json", b'{"sample_index": 3}', "python visualization.py --compare"),
        ("comparison.csv", b"", "python grade.py --report_draft"),
        ("report.md", b"", "finish report.md, then python grade.py --report_draft"),
        ("report.pdf", b"", "python grade.py --hand_in --student_id ID --name NAME"),
    ):
        if content is not None:
            (run_folder / name).write_bytes(content)
        assert runs.next_step(run).partition(option)[0] == f"next: {wanted}"
    run.config.use_pca = False
    assert runs.next_step(run).startswith("next: python train.py --use_pca")
    (run_folder / "grade.json").unlink()
    assert runs.next_step(run) == f"next: python grade.py{option}"


# --------------------------------------------------------------------------- damaged models

CONFIGS, TENSORS = ("gmm/config.json", "pca/config.json"), ("gmm/gmm.safetensors", "pca/pca.safetensors")
FILES = ("config.yaml", *CONFIGS, *TENSORS)
JUNK = {
    "empty": b"",
    "pickle": b"\x80\x04\x95junk\x00\x00",
    "all bytes": bytes(range(256)) * 8,
    "zip": b"PK\x03\x04" + b"\0" * 60,
    "ff": b"\xff" * 100,
    "zeros": b"\0" * 100,
    "nested": b"[" * 50_000,
    "long number": b"9" * 6000,
    "null": b"null",
    "list": b"[1, 2]",
    "text": b'"text"',
}


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_missing_file_a_folder_and_junk_are_named_and_a_pickle_is_never_run(run, tmp_path):
    pickled = {"a pickle that acts": pickle.dumps(Trap(tmp_path / "trapped"))}
    for file in FILES:
        path = run / file
        whole = path.read_bytes()
        for name, junk in (JUNK | pickled | {"half": whole[: len(whole) // 2]}).items():
            if (file, name) == ("config.yaml", "half"):  # half of a YAML file may be valid
                continue
            path.write_bytes(junk)
            assert str(path) in refusal(run), name
        with path.open("wb") as out:
            out.truncate(1 << 34)  # sparse: takes no disk space, and is refused unread
        assert str(path) in refusal(run)
        path.unlink()
        line = refusal(run)
        assert str(path) in line and "missing" in line
        path.mkdir()
        with pytest.raises((LabError, OSError)) as caught:
            runs.load_run(run)
        assert str(path) in cli.explain(caught.value)
        path.rmdir()
        path.write_bytes(whole)
    assert runs.load_run(run).n_components == K
    assert not (tmp_path / "trapped").exists()


def covs(one) -> np.ndarray:
    """Covariances of which the second is ``one``."""
    return np.stack([np.eye(D), np.array(one, dtype=float), np.eye(D)])


# array, its replacement (None: removed), the cause in the message
ARRAYS = [
    *((name, lambda a, bad=bad: np.append(a.ravel()[:-1], bad).reshape(a.shape), f"{name} holds NaN or infinity")
      for name in ("means", "covs", "pi", "components", "mean") for bad in (np.nan, np.inf, -np.inf)),
    *((name, lambda a, shape=shape: np.full(shape, 0.25), f"{name} has shape") for name, shape in (
        ("means", (K, D + 1)), ("means", (K * D,)), ("covs", (K, D)), ("covs", (K - 1, D, D)), ("pi", (K, 1)),
        ("pi", ()), ("pi", (0,)), ("components", (784, D)), ("components", (D, 783)), ("mean", (1, 784)))),
    *(("means", lambda a, dtype=dtype: np.ones((K, D), dtype), f"means holds {np.dtype(dtype)}")
      for dtype in (np.int64, np.uint8, np.bool_)),
    *((name, None, f"lacks {name}") for name in ("means", "covs", "pi", "components", "mean")),
    *(("pi", lambda a, pi=pi: np.array(pi, dtype=float), "pi must be non-negative and sum to 1")
      for pi in ([0.2, 0.3, 0.6], [0, 0, 0], [-0.2, 0.6, 0.6], [2, 3, 5])),
    *(("covs", lambda a, cov=cov: covs(cov), "component 1 is not positive definite")
      for cov in ([[1, 0], [0, 0]], [[1, 0], [0, -1]], [[1, 2], [2, 1]], [[0, 0], [0, 0]])),
    *(("covs", lambda a, cov=cov: covs(cov), "component 1 is not symmetric")
      for cov in ([[1, 0.5], [-0.5, 1]], [[1e14, 1e13], [0, 1e14]])),
    *((name, lambda a, size=size: a / a.max() * size, f"{name} holds numbers up to")
      for name, size in (("means", 1e300), ("covs", 1.5e308), ("covs", 1e200), ("mean", 1e300))),
]  # fmt: skip


def test_arrays_that_are_not_a_mixture_or_a_pca_are_refused(run):
    for i, (name, new, cause) in enumerate(ARRAYS):
        file = TENSORS[name in ("components", "mean")]
        whole = (run / file).read_bytes()
        array = files.read_tensors(run / file, (name,), "")[name]
        change(run, file, **{name: new and new(array.copy())})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            line = refusal(run)
        assert str(run / file) in line and cause in line, (i, line)
        (run / file).write_bytes(whole)


def test_a_long_header_is_refused_before_it_is_read(run, monkeypatch):
    path = run / "gmm" / "gmm.safetensors"
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    for added, cause in ((LONGEST_HEADER - length, ""), (LONGEST_HEADER - length + 1, "header of more than 64 KiB")):
        path.write_bytes(
            (length + added).to_bytes(8, "little") + whole[8 : 8 + length] + added * b" " + whole[8 + length :]
        )
        if not cause:
            assert runs.load_run(run).n_components == K
            monkeypatch.setattr(files, "safe_open", None)
        else:
            assert cause in refusal(run)


def test_sizes_must_be_positive_whole_numbers_that_agree(run):
    for file, key in zip(CONFIGS, ("n_components", "dim"), strict=True):
        whole = (run / file).read_text()
        for value in ("null", "0", "-3", "true", "2.0", '"2"', "[2]", "1e400"):
            content = json.loads(whole) | {key: "HERE"}
            (run / file).write_text(json.dumps(content).replace('"HERE"', value))
            line = refusal(run)
            assert str(run / file) in line and key in line, value
        (run / file).write_text(whole)
    TrainConfig(embedding_dim=D + 1, use_pca=True, n_components=K).save(run / "config.yaml")
    line = refusal(run)
    assert "embedding_dim" in line and str(D + 1) in line


# --------------------------------------------------------------------------- damaged settings

SETTINGS = {
    "learning_rate: 1": "unknown settings: learning_rate",
    "1: 2": "unknown settings: 1",
    "? " + "k" * 5000 + "\n: 1": "unknown settings: kkk",
    '"\\ud800": 1': "unknown settings: \\ud800",
    '"a\\r\\e[2Jb": 1': "unknown settings: a\\r\\x1b[2Jb",
    "? 0x" + "f" * 5000 + "\n: 1": "unknown settings: a number of thousands of digits",
    "max_iter: 0x" + "f" * 5000: "max_iter",
    "ae: 0x" + "f" * 5000: "ae must be text",
    'results_path: "\\ud800"': "results_path",
    'ae: "a\\e[2Jb"': "ae holds",
    "embedding_dim: " + "k" * 5000: "got 'kkk",
    **{f"embedding_dim: {value}": "embedding_dim" for value in ("1e3", "10.0", "true", "null", "[10]", ".nan")},
    **{f"use_pca: {value}": "use_pca" for value in ("1", "'true'")},
    **{f"seed: {value}": "seed must be between 0 and" for value in (-1, 4294967296)},
    "n_components: 0": "n_components must be at least 1",
    "max_iter: -1": "max_iter must be at least 1",
    **{f"dataset: {value}": "dataset must be" for value in ("cifar10", "null")},
    **{f"results_path: {value}": "results_path" for value in ("3", "2024-05-01")},
    "ae: [a]": "ae must be text",
    **{f"use_pca: true\nembedding_dim: {dim}": f"got {dim}" for dim in (0, -1, 785, 10**30)},
}


def test_a_wrong_setting_is_named_with_its_value(run):
    for text, cause in SETTINGS.items():
        (run / "config.yaml").write_text(text + "\n")
        said = refusal(run)
        assert str(run / "config.yaml") in said
        assert cause in said


def bomb(kind: str) -> str:
    """A few lines of YAML that stand for gigabytes."""
    if kind == "aliases":
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
        return "\n".join([*lines, "embedding_dim: *a11", ""])
    nested = "&a0 [x, x, x, x, x, x, x, x, x]" if kind == "values" else "&a0 {seed: 1}"
    for i in range(1, 12):
        inside = f"[{nested}, {', '.join([f'*a{i - 1}'] * 8)}]"
        nested = f"&a{i} {inside}" if kind == "values" else f"&a{i} {{<<: {inside}}}"
    return f"embedding_dim: {nested}\n"


NO_SETTINGS = [
    "seed: [1, 2", "\tseed: 1", "seed: 1: 2", "seed: 2020-13-45", "seed: " + "9" * 5000, "seed: " + "[" * 20_000,
    "seed: 0b2", "seed: 1\n---\nseed: 2", "seed: \x07", "- seed", "text", "", "seed: !!int x", "seed: !!timestamp x",
    "? [a, b]\n: 1", "{{}: 1}", "seed: !!binary x", "<<: 3", *map(bomb, ("aliases", "values", "merges")),
    "!!python/object/apply:os.mkdir [TRAP]", "seed: !!python/object/apply:os.mkdir [TRAP]",
    "seed: !!python/name:os.system", "seed: !!python/object:hi_mnist.runs.TrainConfig {}", "seed: !unknown 3",
]  # fmt: skip


def test_only_a_plain_yaml_mapping_is_read_and_nothing_is_run(run, tmp_path):
    for text in NO_SETTINGS:
        (run / "config.yaml").write_text(text.replace("TRAP", str(tmp_path / "trapped")))
        assert str(run / "config.yaml") in refusal(run), text[:60]
        assert not (tmp_path / "trapped").exists()


# --------------------------------------------------------------------------- the trace


def test_the_trace_is_read_back_or_none(run):
    assert runs.read_trace(run) is None
    for rows, values in {
        "1,-2.5\n2,-2\n": [-2.5, -2],
        "": None, "1\n": None, "1,x\n": None, "1,nan\n": None, "1,1e300\n": None, "1,2\0\n": None,
    }.items():  # fmt: skip
        (run / "trace.csv").write_text(f"iteration,mean_log_likelihood\n{rows}")
        found = runs.read_trace(run)
        assert (found if values is None else found.tolist()) == values, rows
    large = "iteration,mean_log_likelihood\n" + "1,-2.5555555\n" * 100_000
    for text in ("a,b\n1,2\n", large):
        (run / "trace.csv").write_text(text)
        assert runs.read_trace(run) is None, text[:40]


# --------------------------------------------------------------------------- any damage at all


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("fuzz") / "run")


@pytest.mark.parametrize("file", FILES)
@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_bytes_load_as_a_sound_run_or_are_refused_in_one_line(whole_run, file, data):
    path = whole_run / file
    whole = path.read_bytes()
    head = min(len(whole), 400)  # where a safetensors file has its header
    place = st.integers(0, head - 1) | st.integers(0, len(whole) - 1)
    damaged = bytearray(whole)
    for at, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=6)):
        damaged[at] = value
    kept = data.draw(st.just(len(whole)) | place)
    try:
        path.write_bytes(bytes(damaged[:kept]))
        try:
            run = runs.load_run(whole_run)
        except LabError as error:
            assert "\n" not in cli.explain(error)
            return
        assert all(np.isfinite(a).all() for a in (run.means, run.covs, run.pi, run.components, run.mean))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mixture = runs.mixture(run)
            assert np.isfinite(mixture.score_samples(runs.embed(run, np.zeros((2, 1, 28, 28), np.uint8)))).all()
    finally:
        path.write_bytes(whole)
