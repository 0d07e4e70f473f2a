"""The measures behind the networks' figures: known answers, and what must not change them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from threadpoolctl import threadpool_limits

from benchmarks import judge, quality, quality_ae, quality_ddpm
from grading import measures
from hi_mnist import files
from hi_mnist.cli import LabError
from hi_mnist.data import IMAGE_SHAPE, DataSet
from hi_mnist.networks import torch_threads
from model import AE, ClassUNet


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that share small arrays mostly wait for each other, at full load."""
    with threadpool_limits(1), torch_threads(1):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def random_images(rng, n):
    return rng.integers(0, 256, (n, *IMAGE_SHAPE), dtype=np.uint8)


def random_digits(rng, n_train, n_test) -> DataSet:
    counts = (n_train, n_test)
    train, test = (random_images(rng, n) for n in counts)
    return DataSet(train, np.arange(n_train) % 10, test, np.arange(n_test) % 10)


# --------------------------------------------------------------------------- clusters


def test_clusters_are_named_one_to_one_where_the_majority_would_not_be(rng):
    # Clusters 0 and 1 hold mostly digit 0; only one of them may be named so.
    labels = np.array([0] * 6 + [1] * 1 + [0] * 4 + [1] * 3 + list(range(2, 10)) * 3)
    clusters = np.array([0] * 7 + [1] * 7 + list(range(2, 10)) * 3)
    assert quality_ae.name_clusters(clusters, labels).tolist() == list(range(10))
    renumbered = rng.permutation(10)
    names = quality_ae.name_clusters(renumbered[clusters], labels)
    assert names[renumbered].tolist() == list(range(10))
    wanted = ["4 images of 0 among the 1s", "1 images of 1 among the 0s"]  # in falling order, no zeros
    assert quality_ae.largest_confusions(clusters, labels) == wanted
    assert quality_ae.largest_confusions(renumbered[clusters], labels) == wanted


# --------------------------------------------------------------------------- samples


def test_class_agreement_counts_by_class():
    asked = np.arange(10).repeat(4)
    judged = asked.copy()
    judged[:2] = 5  # two of four zeros look like fives
    result = measures.class_agreement(asked, judged)
    assert result["overall"] == pytest.approx(38 / 40)
    assert result["per_class"] == [0.5] + [1.0] * 9
    assert result["worst"] == 0.5


def test_frechet_distance_is_zero_to_itself_and_finite_for_fewer_samples_than_features(rng):
    x = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12))
    assert measures.frechet_distance(x, x) == pytest.approx(0, abs=1e-8)
    few = rng.normal(size=(20, 64)).astype(np.float32)
    assert measures.frechet_distance(few, few) == pytest.approx(0, abs=1e-5)
    assert np.isfinite(measures.frechet_distance(few, rng.normal(size=(30, 64))))


def test_frechet_distance_equals_the_square_root_formula_of_general_gaussians(rng):
    a = rng.normal(size=(500, 5)) @ rng.normal(size=(5, 5))
    b = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5)) + 1
    s_a, s_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # S_a S_b is not symmetric; its eigenvalues are real and not negative all the same.
    trace_of_root = np.sqrt(np.linalg.eigvals(s_a @ s_b).real).sum()
    shift = a.mean(axis=0) - b.mean(axis=0)
    expected = shift @ shift + np.trace(s_a) + np.trace(s_b) - 2 * trace_of_root
    assert measures.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert measures.frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_diversity_is_one_for_the_real_images_and_zero_for_collapsed_ones(rng):
    labels = np.arange(10).repeat(8)
    real = rng.normal(size=(80, 20))
    spreads = measures.class_spreads(real, labels)
    np.testing.assert_allclose(measures.diversity(real, labels, spreads), 1)
    np.testing.assert_allclose(measures.diversity(0.9 * real + 5, labels, spreads), 0.9)
    collapsed = real[::8].repeat(8, axis=0)
    np.testing.assert_allclose(measures.diversity(collapsed, labels, spreads), 0, atol=1e-12)
    assert measures.spread(np.array([[0.0, 0], [3, 4], [0, 0]])) == pytest.approx(10 / 3)
    assert measures.spread(np.array([[250], [5]], dtype=np.uint8)) == 245  # uint8 subtraction would give 11


def test_nearest_distances_are_those_of_pixels_from_0_to_1(rng):
    images = random_images(rng, 50)
    queries = images[[7, 3, 40]].copy()
    queries[1, 0, 0, 0] ^= 255  # moves one pixel
    moved = abs(int(queries[1, 0, 0, 0]) - int(images[3, 0, 0, 0])) / 255
    np.testing.assert_allclose(quality_ddpm.nearest_distances(queries, images), [0, moved, 0], atol=1e-5)


# --------------------------------------------------------------------------- how samples are drawn


def test_ways_without_guidance_come_once_whatever_the_interval():
    ways = quality_ddpm.combine([50], [0.0, 0.5], [(0.0, 1.0), (0.2, 0.8)])
    assert [way.name for way in ways] == ["ddim50_guidance0", "ddim50_guidance0.5", "ddim50_guidance0.5_in_0.2-0.8"]


def test_wrong_options_are_refused_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(quality, "load_ddpm", lambda source: pytest.fail("loaded"))
    for options in (
        "--steps 0", "--steps 1001", "--guidance -1", "--guidance nan", "--interval 0.8 0.2", "--per_class 1",
        "--per_class many", "--batch 0", "--json /no/such/folder/x.json", "--no_such_flag",
    ):  # fmt: skip
        flag, *values = options.split()
        with pytest.raises(LabError, match=flag.strip("-")):
            quality.main(["ddpm", "--pictures", str(tmp_path), flag, *values])


def test_samples_are_sorted_by_class_and_repeat_with_the_seed(rng):
    net = ClassUNet(channels=8, inner_channels=8, emb_dim=8).eval()
    way = quality_ddpm.Setting(steps=2, guidance=1.0)
    first, again = (quality_ddpm.draw_samples(net, way, 2, batch=8, seed=3) for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == (20, 1, 28, 28)
    np.testing.assert_array_equal(first, again)
    labels = rng.integers(0, 10, 400)
    index = quality_ddpm.balanced_subset(labels, 12, rng)
    assert labels[index].tolist() == np.arange(10).repeat(12).tolist()
    assert len(set(index)) == 120


# --------------------------------------------------------------------------- the judge


def test_the_judge_takes_only_uint8_images_of_the_real_mnist(rng):
    weak, images = judge.Judge(judge.JudgeNet()), random_images(rng, 3)
    features = weak.features(images)
    assert features.shape == (3, 128) and features.dtype == np.float32
    assert weak.predict(features).shape == (3,) and weak.predict(features).dtype == np.int64
    with pytest.raises(TypeError, match="uint8"):
        weak.features(images / 255)
    with pytest.raises(LabError, match="real MNIST"):
        judge.load_judge(random_digits(rng, 20, 20))


def test_the_judge_is_trained_once_and_then_read_from_the_cache(rng, monkeypatch, tmp_path):
    few = random_digits(rng, 40, 40)
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.setattr(judge, "IMAGES", 40)
    monkeypatch.setattr(judge, "MIN_ACCURACY", 0.0)
    train = judge.train_judge
    monkeypatch.setattr(judge, "train_judge", lambda images, labels: train(images, labels, epochs=2, batch=20))
    trained, accuracy = judge.load_judge(few)
    monkeypatch.setattr(judge, "train_judge", lambda images, labels: pytest.fail("trained again"))
    read, same = judge.load_judge(few)
    np.testing.assert_allclose(read.features(few.test), trained.features(few.test), rtol=1e-4, atol=1e-5)
    assert same == accuracy
    monkeypatch.setattr(judge, "MIN_ACCURACY", 1.1)
    (kept,) = files.cache_dir().glob("judge-*")
    with pytest.raises(LabError, match=kept.name):
        judge.load_judge(few)


# --------------------------------------------------------------------------- the whole, on few images


@pytest.fixture
def few_images(rng, monkeypatch):
    torch.manual_seed(0)
    few = random_digits(rng, 200, 60)
    monkeypatch.setattr(quality, "prepared", lambda dataset: few)
    monkeypatch.setattr(quality, "load_ae", lambda source: AE().eval())
    monkeypatch.setattr(quality, "load_ddpm", lambda source: ClassUNet(channels=8, inner_channels=8, emb_dim=8).eval())
    monkeypatch.setattr(quality, "load_judge", lambda mnist: (judge.Judge(judge.JudgeNet()), 0.5))


@pytest.mark.filterwarnings("ignore")  # mixtures of noise do not converge
def test_figures_are_complete_and_fit_json(few_images, tmp_path, capsys, with_networks):
    file = tmp_path / "figures.json"
    assert quality.main(["ae", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert len(found["rows"]) == 3 and all(0 <= row["accuracy"] <= 1 for row in found["rows"].values())
    assert len(found["accuracy_of_each_seed"]) == 5
    assert quality.main(
        ["ddpm", "--json", str(file), "--pictures", str(tmp_path), "--steps", "2", "--guidance", "0", "1"]
        + ["--interval", "0", "1", "--per_class", "3", "--batch", "20"]
    ) == 0  # fmt: skip
    rows = json.loads(file.read_text())["rows"]
    assert [name for name in rows if "ddim" in name] == ["ddim2_guidance0", "ddim2_guidance1"]
    real = rows["real training images, draw 0"]
    assert real["diversity_pixels"] == pytest.approx(1, abs=0.02)  # noise is as diverse as noise
    assert real["exactly_0"] == pytest.approx(1 / 256, abs=2e-3)
    assert Image.open(tmp_path / "ddpm_ddim2_guidance1.png").size == (3 * 60, 10 * 60)
    assert capsys.readouterr().out.isascii()
