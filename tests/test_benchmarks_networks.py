"""The measures behind the networks' figures: known answers, and what must not change them. Nothing is trained."""

import json

import numpy as np
import pytest
import torch

from benchmarks import judge, measures, networks
from hi_mnist import data, files
from hi_mnist import networks as lab_networks
from hi_mnist.cli import LabError
from hi_mnist.data import IMAGE_SHAPE
from model import AE, ClassUNet


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def random_images(rng, n):
    return rng.integers(0, 256, (n, *IMAGE_SHAPE), dtype=np.uint8)


# --------------------------------------------------------------------------- clusters


def test_clustering_scores_ignore_how_clusters_are_numbered(rng):
    labels = rng.integers(0, 10, 500)
    clusters = np.where(rng.random(500) < 0.8, labels, rng.integers(0, 10, 500))
    renumbered = rng.permutation(10)[clusters]
    assert measures.clustering_scores(renumbered, labels) == pytest.approx(measures.clustering_scores(clusters, labels))


def test_perfect_clusters_score_one_under_any_numbering(rng):
    labels = np.arange(200) % 10
    scores = measures.clustering_scores(rng.permutation(10)[labels], labels)
    assert scores == pytest.approx({"accuracy": 1, "nmi": 1, "ari": 1})


def test_matching_is_one_to_one_where_the_majority_would_not_be():
    # Both clusters hold mostly class 0; only one of them may be named so.
    labels = np.array([0] * 6 + [1] * 1 + [0] * 4 + [1] * 3)
    clusters = np.array([0] * 7 + [1] * 7)
    assert measures.match_clusters(clusters, labels, k=2).tolist() == [0, 1]
    assert measures.clustering_scores(clusters, labels, k=2)["accuracy"] == pytest.approx(9 / 14)


def test_empty_clusters_are_matched_too():
    labels = np.arange(10).repeat(3)
    assert measures.clustering_scores(np.zeros(30, dtype=int), labels)["accuracy"] == pytest.approx(0.1)


def test_largest_confusions_come_in_falling_order_without_diagonal_and_zeros():
    table = np.array([[50, 2, 0], [7, 40, 0], [0, 0, 30]])
    assert measures.largest_confusions(table) == [
        {"true": 1, "taken_for": 0, "count": 7},
        {"true": 0, "taken_for": 1, "count": 2},
    ]


def test_median_run_is_the_run_of_the_median():
    assert networks.median_run([0.9, 0.5, 0.7, 0.8, 0.6]) == 2


# --------------------------------------------------------------------------- samples


def test_agreement_counts_by_class():
    asked = np.arange(10).repeat(4)
    judged = asked.copy()
    judged[:2] = 5  # two of four zeros look like fives
    result = measures.agreement(asked, judged)
    assert result["overall"] == pytest.approx(38 / 40)
    assert result["per_class"] == [0.5] + [1.0] * 9
    assert result["worst"] == 0.5


def test_frechet_distance_of_a_set_to_itself_is_zero(rng):
    x = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12))
    assert measures.frechet_distance(x, x) == pytest.approx(0, abs=1e-8)


def test_frechet_distance_of_fewer_samples_than_features_is_finite_and_zero_to_itself(rng):
    x = rng.normal(size=(20, 64)).astype(np.float32)
    assert measures.frechet_distance(x, x) == pytest.approx(0, abs=1e-5)
    assert np.isfinite(measures.frechet_distance(x, rng.normal(size=(30, 64))))


def whitened(rng, n, dim):
    """Samples whose mean is exactly 0 and whose covariance is exactly the identity."""
    x = rng.normal(size=(n, dim))
    x -= x.mean(axis=0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T


def test_frechet_distance_equals_the_closed_form_of_commuting_gaussians(rng):
    a, b = whitened(rng, 400, 3), whitened(rng, 250, 3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]  # axes that are shared, but not those of the coordinates
    sigma_a, sigma_b, shift = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 0.5]), np.array([1.0, -2.0, 0.5])
    expected = shift @ shift + ((sigma_a - sigma_b) ** 2).sum()
    got = measures.frechet_distance((a * sigma_a) @ turn, (b * sigma_b + shift) @ turn)
    assert got == pytest.approx(expected, rel=1e-9)


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


def test_spread_is_the_mean_distance_of_pairs():
    assert measures.spread(np.array([[0.0, 0], [3, 4], [0, 0]])) == pytest.approx(10 / 3)


def test_diversity_is_one_for_the_real_images_and_zero_for_collapsed_ones(rng):
    labels = np.arange(10).repeat(8)
    real = rng.normal(size=(80, 20))
    spreads = measures.class_spreads(real, labels)
    np.testing.assert_allclose(measures.diversity(real, labels, spreads), 1)
    np.testing.assert_allclose(measures.diversity(0.9 * real + 5, labels, spreads), 0.9)
    collapsed = real[::8].repeat(8, axis=0)
    np.testing.assert_allclose(measures.diversity(collapsed, labels, spreads), 0, atol=1e-12)


def test_diversity_of_pixels_does_not_wrap_around():
    # uint8 subtraction would make 250 and 5 eleven apart
    pixels = np.array([[250], [5]], dtype=np.uint8)
    assert measures.spread(pixels) == 245


def test_background_tells_clean_from_veiled_and_framed():
    clean = np.zeros((3, 1, 28, 28), dtype=np.uint8)
    clean[..., 8:20, 8:20] = 200
    assert measures.background(clean) == {
        "frame_ink": 0,
        "darkest_decile": 0,
        "black_share": pytest.approx(1 - 144 / 784),
        "veil_share": 0,
    }
    veiled = np.maximum(clean, 6)
    assert measures.background(veiled)["darkest_decile"] == 6
    assert measures.background(veiled)["veil_share"] == pytest.approx(1 - 144 / 784)
    assert measures.background(veiled)["frame_ink"] == 0
    framed = clean.copy()
    framed[..., 0, :] = 255  # 28 of the 784 - 24 * 24 = 208 pixels of the frame
    assert measures.background(framed)["frame_ink"] == pytest.approx(28 / 208)


def test_nearest_images_finds_them_with_their_distance(rng):
    images = random_images(rng, 50)
    queries = images[[7, 3, 40]].copy()
    queries[1, 0, 0, 0] ^= 255  # moves one pixel
    moved = abs(int(queries[1, 0, 0, 0]) - int(images[3, 0, 0, 0])) / 255
    index, distance = measures.nearest_images(queries, images, block=2)
    assert index.tolist() == [7, 3, 40]
    np.testing.assert_allclose(distance, [0, moved, 0], atol=1e-6)


def test_pixel_mse_of_one_grey_level():
    a = np.zeros((2, 1, 28, 28))
    assert measures.pixel_mse(a, a + 0.5) == pytest.approx(0.25)


# --------------------------------------------------------------------------- how samples are drawn


def test_settings_without_guidance_come_once_whatever_the_interval():
    settings = networks.ddpm_settings([50], [0.0, 0.5], [(0.0, 1.0), (0.2, 0.8)])
    assert [s.name for s in settings] == ["ddim50_guidance0", "ddim50_guidance0.5", "ddim50_guidance0.5_in_0.2-0.8"]
    assert [s.network_images() for s in settings] == [50, 100, 80]


@pytest.mark.parametrize(
    "options",
    [
        ["--steps", "0"],
        ["--steps", "1001"],
        ["--guidance", "-1"],
        ["--guidance", "nan"],
        ["--interval", "0.8", "0.2"],
        ["--per_class", "1"],
        ["--batch", "0"],
        ["--timing_repeats", "-1"],
        ["--json", "/no/such/folder/x.json"],
        ["--no_such_flag"],
        ["--per_class", "many"],
    ],
)
def test_wrong_options_are_refused_before_anything_is_loaded(options, tmp_path, monkeypatch):
    monkeypatch.setattr(lab_networks, "load_ddpm", lambda source: pytest.fail("loaded"))
    with pytest.raises(LabError):
        networks.main(["ddpm", "--pictures", str(tmp_path), *options])


def test_samples_are_sorted_by_class_and_repeat_with_the_seed():
    net = ClassUNet(channels=8, inner_channels=8, emb_dim=8).eval()
    setting = networks.Setting(steps=2, guidance=1.0)
    ticks = []

    class Bar:
        update = staticmethod(lambda: ticks.append(1))

    first, asked = networks.draw_samples(net, setting, 2, batch=8, seed=3, bar=Bar)
    again, _ = networks.draw_samples(net, setting, 2, batch=8, seed=3, bar=Bar)
    assert first.dtype == np.uint8 and first.shape == (20, 1, 28, 28)
    assert asked.tolist() == [d for d in range(10) for _ in range(2)]
    np.testing.assert_array_equal(first, again)
    assert len(ticks) == 2 * 3 * 2  # draws, batches, steps


def test_balanced_subset_holds_each_class_equally_and_no_image_twice(rng):
    labels = rng.integers(0, 10, 400)
    index = networks.balanced_subset(labels, 12, rng)
    assert labels[index].tolist() == np.arange(10).repeat(12).tolist()
    assert len(set(index)) == 120


# --------------------------------------------------------------------------- the judge


def test_judge_takes_only_uint8_images(rng):
    weak = judge.Judge(judge.JudgeNet().eval(), 0.1)
    images = random_images(rng, 3)
    assert weak.predict(images).shape == (3,) and weak.predict(images).dtype == np.int64
    assert weak.features(images).shape == (3, 128) and weak.features(images).dtype == np.float32
    with pytest.raises(TypeError, match="uint8"):
        weak.predict(images / 255)


def test_judge_refuses_data_that_is_not_the_real_mnist(rng, monkeypatch):
    few = (random_images(rng, 20), np.arange(20) % 10)
    monkeypatch.setattr(data, "load_split", lambda split: few)
    with pytest.raises(LabError, match="real MNIST"):
        judge.load_judge()


def test_judge_is_trained_once_and_then_read_from_the_cache(rng, monkeypatch, tmp_path):
    few = (random_images(rng, 40), np.arange(40) % 10)
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.setattr(data, "load_split", lambda split: few)
    monkeypatch.setattr(judge, "MNIST_COUNTS", (40, 40))
    monkeypatch.setattr(judge, "MIN_ACCURACY", 0.0)
    train = judge.train_judge
    monkeypatch.setattr(judge, "train_judge", lambda images, labels: train(images, labels, epochs=2, batch=20))
    trained = judge.load_judge()
    monkeypatch.setattr(judge, "train_judge", lambda images, labels: pytest.fail("trained again"))
    read = judge.load_judge()
    np.testing.assert_allclose(read.features(few[0]), trained.features(few[0]), rtol=1e-4, atol=1e-5)
    assert read.test_accuracy == trained.test_accuracy


def test_judge_below_its_bar_or_damaged_is_refused(rng, monkeypatch, tmp_path):
    few = (random_images(rng, 20), np.arange(20) % 10)
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.setattr(data, "load_split", lambda split: few)
    monkeypatch.setattr(judge, "MNIST_COUNTS", (20, 20))
    monkeypatch.setattr(judge, "train_judge", lambda images, labels: judge.JudgeNet().eval())
    with pytest.raises(LabError, match="99.3% is needed"):
        judge.load_judge()
    (files.cache_dir() / judge.CACHE_NAME).write_bytes(b"no weights")
    with pytest.raises(LabError, match="damaged"):
        judge.load_judge()


# --------------------------------------------------------------------------- the whole, on few images


def test_ae_figures_are_complete_and_fit_json(rng, tmp_path, capsys):
    train = (random_images(rng, 120), np.arange(120) % 10)
    test = (random_images(rng, 60), np.arange(60) % 10)
    result = networks.measure_ae(AE().eval(), train, test, (train, test), tmp_path, repeats=1)
    assert json.loads(json.dumps(result))["clustering"]["accuracy"] == result["clustering"]["accuracy"]
    assert np.sum(result["confusion"]["table"]) == 60
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ae_plane.png", "ae_reconstructions.png"]
    networks.print_ae(result)
    assert capsys.readouterr().out.isascii()


def test_ddpm_figures_are_complete_and_fit_json(rng, tmp_path, capsys):
    torch.manual_seed(0)
    train = (random_images(rng, 200), np.arange(200) % 10)
    test = (random_images(rng, 60), np.arange(60) % 10)
    reference = networks.Reference(judge.Judge(judge.JudgeNet().eval(), 1.0), train, test)
    result = networks.measure_ddpm(
        ClassUNet(channels=8, inner_channels=8, emb_dim=8).eval(),
        reference,
        networks.ddpm_settings([2], [0.0, 1.0], [(0.0, 1.0)]),
        per_class=3,
        batch=20,
        seed=0,
        timing_repeats=1,
        pictures=tmp_path,
    )
    assert [s["name"] for s in json.loads(json.dumps(result))["settings"]] == ["ddim2_guidance0", "ddim2_guidance1"]
    assert result["real_train"]["diversity"]["pixels"] == pytest.approx(1, abs=0.02)  # noise is as diverse as noise
    assert len(result["timing"]) == 2 and len(list(tmp_path.iterdir())) == 4
    networks.print_ddpm(result)
    assert capsys.readouterr().out.isascii()
