"""Run folders: settings and models written and read back; whatever is damaged is one line that names the file."""

import json
import os
import re
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


def test_every_setting_comes_back(tmp_path):
    config = TrainConfig(
        embedding_dim=7,
        use_pca=True,
        n_components=4,
        max_iter=3,
        results_path="C:\\läuf: #1 'a'",
        seed=2**32 - 1,
        dataset="digits",
        ae="owner/name",
    )
    config.save(tmp_path / "config.yaml")
    assert TrainConfig.load(tmp_path / "config.yaml") == config


def test_config_holds_the_labs_six_keys_and_the_data_set(tmp_path):
    TrainConfig().save(tmp_path / "config.yaml")
    assert tuple(yaml.safe_load((tmp_path / "config.yaml").read_text())) == (*SIX_KEYS, "dataset")


@pytest.mark.parametrize("results_path", ["null", "./results/2024-05-01_12-00-00", "'C:\\old\\place'", "/gone"])
def test_a_run_as_the_original_lab_wrote_it_loads(run, results_path):
    lines = [f"embedding_dim: {D}", "use_pca: true", f"n_components: {K}", "max_iter: 100", "seed: 42"]
    (run / "config.yaml").write_text("\n".join([*lines, f"results_path: {results_path}", ""]))
    change(run, "gmm/gmm.safetensors", covs=np.stack([np.eye(D)] * K).astype(np.float64))
    back = runs.load_run(run)
    assert back.path == run.resolve()  # results_path is never used as a path
    assert (back.config.dataset, back.config.ae, back.config.seed) == ("mnist", None, 42)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_floating_point_type_is_read_as_float64(run, dtype):
    change(run, "gmm/gmm.safetensors", means=np.ones((K, D), dtype), pi=np.array([0.25, 0.25, 0.5], dtype))
    back = runs.load_run(run)
    assert back.means.dtype == back.pi.dtype == np.float64
    assert back.pi.tolist() == [0.25, 0.25, 0.5]


def test_missing_settings_take_their_defaults(tmp_path):
    (tmp_path / "config.yaml").write_text("use_pca: true\n")
    assert TrainConfig.load(tmp_path / "config.yaml") == TrainConfig(use_pca=True)


@pytest.mark.parametrize(
    "text", ["\ufeffuse_pca: true\r\nseed: 1\r\n", "{use_pca: true, seed: 1}", "# hi\nuse_pca: yes\nseed: 0x1"]
)
def test_other_spellings_of_the_same_settings_are_read(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8", newline="")
    assert TrainConfig.load(tmp_path / "config.yaml") == TrainConfig(use_pca=True, seed=1)


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


def test_newest_run_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    for age, name in enumerate(["b", "c", "a"]):
        (tmp_path / "results" / name).parent.mkdir(exist_ok=True)
        run = write_run(tmp_path / "results" / name)
        os.utime(run / "config.yaml", (1000 - age, 1000 - age))
    assert runs.find_run(None) == tmp_path / "results" / "b"


def test_what_a_killed_training_left_is_no_run(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    (tmp_path / "results").mkdir()
    write_run(tmp_path / "results" / ".2026-01-01_00-00-00.99.partial")
    with pytest.raises(LabError, match="no run"):
        runs.find_run(None)


def test_without_any_run_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    with pytest.raises(LabError, match="train.py --use_pca"):
        runs.load_run(None)


def test_a_run_that_is_not_there_or_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "nowhere") in refusal(tmp_path / "nowhere")
    assert "is a file" in refusal(tmp_path / "file")


def test_a_relative_path_means_what_the_shell_means(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    assert runs.load_run("run").path == run.resolve()


# --------------------------------------------------------------------------- damaged files

FILES = ("config.yaml", "gmm/config.json", "gmm/gmm.safetensors", "pca/config.json", "pca/pca.safetensors")
TENSORS = ("gmm/gmm.safetensors", "pca/pca.safetensors")


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(run, file):
    (run / file).unlink()
    line = refusal(run)
    assert str(run / file) in line
    assert "missing" in line


@pytest.mark.parametrize("file", FILES)
def test_an_empty_file_is_named(run, file):
    (run / file).write_bytes(b"")
    assert str(run / file) in refusal(run)


@pytest.mark.parametrize("file", [f for f in FILES if f != "config.yaml"])  # half of a YAML file may be valid
def test_a_truncated_file_is_named(run, file):
    content = (run / file).read_bytes()
    (run / file).write_bytes(content[: len(content) // 2])
    assert str(run / file) in refusal(run)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    "junk",
    [
        b"\x80\x04\x95junk\x00\x00",
        bytes(range(256)) * 8,
        b"PK\x03\x04" + b"\0" * 60,
        b"\xff" * 100,
        b"\0" * 100,
        b"[" * 50_000,
        b"9" * 6000,
        b"null",
        b"[1, 2]",
        b'"text"',
    ],
    ids=["pickle", "all bytes", "zip", "ff", "zeros", "nested", "long number", "null", "list", "text"],
)
def test_a_file_of_junk_is_named(run, file, junk):
    (run / file).write_bytes(junk)
    assert str(run / file) in refusal(run)


@pytest.mark.parametrize("file", TENSORS)
def test_a_pickle_is_refused_and_never_run(run, file, tmp_path):
    import pickle

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    (run / file).write_bytes(pickle.dumps(Trap()))
    assert str(run / file) in refusal(run)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["means", "covs", "pi", "components", "mean"])
def test_nan_and_infinity_are_refused(run, name, bad):
    file = TENSORS[name in ("components", "mean")]
    array = files.read_tensors(run / file, (name,), "")[name].copy()
    array.flat[-1] = bad
    change(run, file, **{name: array})
    line = refusal(run)
    assert str(run / file) in line
    assert f"{name} holds NaN or infinity" in line


@pytest.mark.parametrize(
    "file, name, shape",
    [
        ("gmm/gmm.safetensors", "means", (K, D + 1)),
        ("gmm/gmm.safetensors", "means", (K * D,)),
        ("gmm/gmm.safetensors", "covs", (K, D)),
        ("gmm/gmm.safetensors", "covs", (K - 1, D, D)),
        ("gmm/gmm.safetensors", "pi", (K, 1)),
        ("gmm/gmm.safetensors", "pi", ()),
        ("gmm/gmm.safetensors", "pi", (0,)),
        ("pca/pca.safetensors", "components", (784, D)),
        ("pca/pca.safetensors", "components", (D, 783)),
        ("pca/pca.safetensors", "mean", (1, 784)),
    ],
)
def test_wrong_shapes_are_refused(run, file, name, shape):
    change(run, file, **{name: np.full(shape, 0.25)})
    line = refusal(run)
    assert str(run / file) in line
    assert name in line


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_whole_numbers_in_place_of_floating_point_are_refused(run, dtype):
    change(run, "gmm/gmm.safetensors", means=np.ones((K, D), dtype))
    assert f"means holds {np.dtype(dtype)}" in refusal(run)


def test_bfloat16_is_refused_in_one_line(run):
    import torch
    from safetensors.torch import save_file as save_torch

    tensors = {"means": torch.zeros(K, D), "covs": torch.eye(D).repeat(K, 1, 1), "pi": torch.full((K,), 1 / K)}
    save_torch({k: v.to(torch.bfloat16).contiguous() for k, v in tensors.items()}, run / "gmm/gmm.safetensors")
    assert str(run / "gmm/gmm.safetensors") in refusal(run)


@pytest.mark.parametrize("name", ["means", "covs", "pi"])
def test_a_missing_array_is_named(run, name):
    change(run, "gmm/gmm.safetensors", **{name: None})
    assert f"lacks {name}" in refusal(run)


@pytest.mark.parametrize("pi", [[0.2, 0.3, 0.6], [0, 0, 0], [-0.2, 0.6, 0.6], [2, 3, 5]])
def test_weights_that_are_no_probabilities_are_refused(run, pi):
    change(run, "gmm/gmm.safetensors", pi=np.array(pi, dtype=np.float64))
    assert "pi must be non-negative and sum to 1" in refusal(run)


@pytest.mark.parametrize(
    "cov, cause",
    [
        ([[1, 0], [0, 0]], "not positive definite"),
        ([[1, 0], [0, -1]], "not positive definite"),
        ([[1, 2], [2, 1]], "not positive definite"),
        ([[0, 0], [0, 0]], "not positive definite"),
        ([[1, 0.5], [-0.5, 1]], "not symmetric"),
        ([[1e14, 1e13], [0, 1e14]], "not symmetric"),
    ],
)
def test_what_is_no_covariance_is_refused(run, cov, cause):
    covs = np.stack([np.eye(D)] * K)
    covs[1] = cov
    change(run, "gmm/gmm.safetensors", covs=covs)
    assert f"component 1 is {cause}" in refusal(run)


@pytest.mark.parametrize("name, size", [("means", 1e300), ("covs", 1.5e308), ("covs", 1e200), ("mean", 1e300)])
def test_numbers_too_large_to_compute_with_are_refused(run, name, size):
    file = TENSORS[name in ("components", "mean")]
    array = files.read_tensors(run / file, (name,), "")[name]
    change(run, file, **{name: array / array.max() * size if name == "covs" else np.full_like(array, size)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert str(run / file) in refusal(run)


@pytest.mark.parametrize("value", ["null", "0", "-3", "true", "2.0", '"2"', "[2]", "1e400"])
@pytest.mark.parametrize("file, key", [("gmm/config.json", "n_components"), ("pca/config.json", "dim")])
def test_sizes_must_be_positive_whole_numbers(run, file, key, value):
    content = json.loads((run / file).read_text()) | {key: "HERE"}
    (run / file).write_text(json.dumps(content).replace('"HERE"', value))
    line = refusal(run)
    assert str(run / file) in line
    assert key in line


def test_another_embedding_dim_than_the_pca_has_is_refused(run):
    TrainConfig(embedding_dim=D + 1, use_pca=True, n_components=K).save(run / "config.yaml")
    assert f"embedding_dim in config.yaml is {D + 1}, but the PCA has {D} components" in refusal(run)


# --------------------------------------------------------------------------- damaged settings


@pytest.mark.parametrize(
    "line, cause",
    [
        ("learning_rate: 1", "unknown settings: learning_rate"),
        ("1: 2", "unknown settings: 1"),
        ("? " + "k" * 5000 + "\n: 1", "unknown settings: kkk"),
        ('"\\ud800": 1', "unknown settings: \\ud800"),
        ('"a\\r\\e[2Jb": 1', "unknown settings: a\\r\\x1b[2Jb"),
        ("? 0x" + "f" * 5000 + "\n: 1", "unknown settings: a number of thousands of digits"),
        ("max_iter: 0x" + "f" * 5000, "max_iter is far too large, got a number of thousands of digits"),
        ("seed: 0x" + "f" * 5000, "seed is far too large"),
        ("ae: 0x" + "f" * 5000, "ae must be text or null, got a number of thousands of digits"),
        ('results_path: "\\ud800"', "results_path holds characters that cannot be shown or saved"),
        ('ae: "a\\e[2Jb"', "ae holds characters that cannot be shown or saved"),
        ("embedding_dim: " + "k" * 5000, "embedding_dim must be a whole number, got 'kkk"),
        ("embedding_dim: 1e3", "embedding_dim must be a whole number, got '1e3'"),
        ("embedding_dim: 10.0", "embedding_dim must be a whole number, got 10.0"),
        ("embedding_dim: true", "embedding_dim must be a whole number, got True"),
        ("embedding_dim: ten", "embedding_dim must be a whole number, got 'ten'"),
        ("embedding_dim: null", "embedding_dim must be a whole number, got None"),
        ("embedding_dim: [10]", "embedding_dim must be a whole number"),
        ("embedding_dim: .nan", "embedding_dim must be a whole number"),
        ("use_pca: 1", "use_pca must be true or false, got 1"),
        ("use_pca: 'true'", "use_pca must be true or false"),
        ("seed: -1", "seed must be between 0 and"),
        ("seed: 4294967296", "seed must be between 0 and"),
        ("n_components: 0", "n_components must be at least 1"),
        ("max_iter: -1", "max_iter must be at least 1"),
        ("dataset: cifar10", "dataset must be one of"),
        ("dataset: null", "dataset must be text"),
        ("results_path: 3", "results_path must be text or null"),
        ("results_path: 2024-05-01", "results_path must be text or null"),
        ("ae: [a]", "ae must be text or null"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(run, line, cause):
    (run / "config.yaml").write_text(line + "\n")
    said = refusal(run)
    assert str(run / "config.yaml") in said
    assert cause in said


@pytest.mark.parametrize("dim", [0, -1, 785, 10**30])
def test_an_embedding_dim_out_of_range_is_refused(run, dim):
    (run / "config.yaml").write_text(f"use_pca: true\nembedding_dim: {dim}\n")
    assert f"embedding_dim must be between 1 and 784, the number of pixels, got {dim}" in refusal(run)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir [TRAP]",
        "seed: !!python/object/apply:os.mkdir [TRAP]",
        "seed: !!python/name:os.system",
        "seed: !!python/object:hi_mnist.runs.TrainConfig {}",
        "seed: !unknown 3",
    ],
)
def test_tags_are_refused_and_never_run(run, tmp_path, text):
    (run / "config.yaml").write_text(text.replace("TRAP", str(tmp_path / "trapped")))
    assert str(run / "config.yaml") in refusal(run)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    "text",
    [
        "seed: [1, 2",
        "\tseed: 1",
        "seed: 1: 2",
        "seed: 2020-13-45",
        "seed: " + "9" * 5000,
        "seed: " + "[" * 20_000,
        "seed: 0b2",
        "seed: 1\n---\nseed: 2",
        "seed: \x07",
        "- seed",
        "text",
        "",
        "seed: !!int x",
        "seed: !!timestamp x",
        "? [a, b]\n: 1",
        "{{}: 1}",
        "seed: !!binary x",
        "<<: 3",
    ],
    ids=range(18),
)
def test_what_is_no_plain_yaml_mapping_is_refused(run, text):
    (run / "config.yaml").write_text(text)
    assert str(run / "config.yaml") in refusal(run)


def bomb_of_aliases() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    return "\n".join([*lines, "embedding_dim: *a11", ""])


def bomb_of_values() -> str:
    """The same, in a key that is known: only its value would have to be shown."""
    nested = "&a0 [x, x, x, x, x, x, x, x, x]"
    for i in range(1, 12):
        nested = f"&a{i} [{nested}, {', '.join([f'*a{i - 1}'] * 8)}]"
    return f"embedding_dim: {nested}\n"


def bomb_of_merges() -> str:
    nested = "&a0 {x: 1}"
    for i in range(1, 12):
        nested = f"&a{i} {{<<: [{nested}, {', '.join([f'*a{i - 1}'] * 8)}]}}"
    return f"seed: {nested}\n"


@pytest.mark.parametrize("bomb", [bomb_of_aliases, bomb_of_values, bomb_of_merges])
def test_an_alias_bomb_is_refused_at_once(run, bomb):
    (run / "config.yaml").write_text(bomb())
    assert str(run / "config.yaml") in refusal(run)


def test_a_huge_settings_file_is_refused_unread(run):
    with (run / "config.yaml").open("wb") as file:
        file.truncate(1 << 34)  # sparse: it takes no room on the disk
    assert "larger than 64 KiB" in refusal(run)


@pytest.mark.parametrize("file", ["gmm/config.json", "pca/config.json", *TENSORS])
def test_a_huge_file_is_refused_unread(run, file):
    with (run / file).open("wb") as out:
        out.truncate(1 << 36)
    assert str(run / file) in refusal(run)


def test_a_folder_in_place_of_a_file_is_one_line(run):
    for file in FILES:
        content = (run / file).read_bytes()
        (run / file).unlink()
        (run / file).mkdir()
        with pytest.raises((LabError, OSError)) as caught:
            runs.load_run(run)
        assert re.search(re.escape(str(run / file)), cli.explain(caught.value))
        (run / file).rmdir()
        (run / file).write_bytes(content)


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
