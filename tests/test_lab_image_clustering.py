"""Image clustering: the pictures, the rules on labels, the pipeline on the stand-in, bad input."""

import csv
import os
from dataclasses import replace

import companion
import numpy as np
import pytest
import yaml
from companion import one_thread  # noqa: F401
from hypothesis import given, settings
from hypothesis import strategies as st

from hi_mnist import files, prepare
from labs import image_clustering as lab
from labs.image_clustering import __main__ as command
from labs.image_clustering import compare, pictures, pipeline, questions, submission, tasks  # noqa: F401, found by lab
from labs.image_clustering.settings import CLUSTERERS, Settings

FASHION_MNIST_DIR = os.environ.get("FASHION_MNIST_DIR")  # as it was when the tests began
QUICK = Settings(epochs=2)


def test_solution_gets_all_points():
    companion.check_solution(lab, seeds=6)


def without_tanh(**settings):
    net = submission.Autoencoder(**settings)
    net.decoder = net.decoder[:-1]
    return net


def test_a_mistake_is_named_and_costs_its_part():
    cases = (
        ("Autoencoder", without_tanh, 6, "tanh"),
        ("Autoencoder", lambda activation: submission.Autoencoder(), 0, "relu"),
        ("standardise", lambda codes: np.where(codes.std(0) > 0, submission.standardise(codes), np.nan), 4, "never"),
        ("standardise", lambda codes: (codes - codes.mean()) / codes.std(), 2, "column"),
        ("flip", lambda labels, known: 1 - labels if labels[:5].sum() >= 3 else labels, 2, "2 of 6"),
        ("flip", lambda labels, known: labels, 0, "wrong"),
        ("consensus", lambda rows: (rows.mean(0) > 0.5).astype(int), 2, "exchanged"),
        ("consensus", lambda rows: rows[0], 0, "wrong"),
    )
    companion.check_mistakes(lab, cases)


@given(st.lists(st.integers(0, 1), min_size=9, max_size=30).map(np.array), st.integers(0, 4))
def test_flip_makes_most_of_the_known_right_and_ignores_the_clusters_names(labels, half):
    known = np.zeros(2 * half + 1, int)
    flipped = submission.flip(labels, known)
    assert 2 * (flipped[: len(known)] == known).sum() > len(known)
    assert np.array_equal(flipped, submission.flip(1 - labels, known))
    assert np.array_equal(flipped, labels) or np.array_equal(flipped, 1 - labels)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_consensus_ignores_how_each_row_names_its_clusters(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, size=50)
    rows = np.array([truth ^ (rng.uniform(size=50) < 0.15) for _ in range(5)])
    exchanged = rows ^ rng.integers(0, 2, size=(5, 1))
    one, other = submission.consensus(rows), submission.consensus(exchanged)
    assert np.array_equal(one, other) or np.array_equal(one, 1 - other)


def test_pictures_are_half_of_each_kind_begin_with_five_digits_and_follow_their_seed(standin):
    for seed in range(8):
        images, kinds = pictures.two_kinds(["digits"], 60, seed)
        assert images.shape == (60, 32, 32, 3)
        assert images.dtype == np.uint8
        assert kinds.sum() == 30
        assert not kinds[:5].any()
    assert len(pictures.two_kinds(["digits"], 10**6, 0)[0]) == 2 * 1437
    once, again, other = (pictures.two_kinds(["digits"], 80, seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert not np.array_equal(once[0], other[0])


def test_colour_tells_nothing_about_the_kind(standin):
    images, kinds = pictures.two_kinds(["digits"], 2000, 0)
    brightest = images.reshape(len(images), -1, 3).astype(float)
    brightest = brightest[np.arange(len(images)), brightest.sum(axis=2).argmax(axis=1)]
    tints = brightest / brightest.max(axis=1, keepdims=True)
    gap = tints[kinds == 0].mean(axis=0) - tints[kinds == 1].mean(axis=0)
    assert np.abs(gap).max() < 0.03
    grey = np.full((500, 2, 2), 255, np.uint8)
    tinted = pictures.tinted(grey, np.random.default_rng(0))
    assert (tinted == tinted[:, :1, :1]).all()  # one tint a picture
    assert tinted.min() >= 255 * pictures.DARKEST - 1
    assert tinted.std(axis=0).min() > 30


def test_images_are_scaled_to_minus_one_and_one():
    for value, scaled in ((0, -1), (255, 1)):
        tensor = pipeline.as_tensor(np.full((2, 32, 32, 3), value, np.uint8))
        assert tensor.shape == (2, 3, 32, 32)
        assert (tensor == scaled).all()


def test_spectral_clustering_follows_shapes_that_k_means_cuts():
    rng, ring = np.random.default_rng(0), np.arange(400) % 2
    angle, radius = rng.uniform(0, 2 * np.pi, 400), (1 + 3 * ring)[:, None]
    points = radius * np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(scale=0.1, size=(400, 2))
    shares = {}
    for clusterer in CLUSTERERS:
        labels = pipeline.cluster(points, Settings(clusterer=clusterer))
        assert set(labels.tolist()) == {0, 1}
        assert labels.dtype == np.int64
        shares[clusterer] = max((labels == ring).mean(), (labels != ring).mean())
    assert shares["spectral"] == 1
    assert shares["kmeans"] < 0.7


def test_an_island_is_not_cut_off_as_a_cluster():
    rng = np.random.default_rng(0)
    blobs = [rng.normal(size=(150, 2)) + [x, 0] for x in (0, 5)]
    island = rng.normal(size=(15, 2), scale=0.1) + [60, 0]
    labels = pipeline.cut(np.concatenate([*blobs, island]), seed=0)
    assert len(set(labels[:150].tolist())) == 1 or np.bincount(labels[:150]).max() > 140
    assert len(set(labels[300:].tolist())) == 1
    assert labels[300] == np.bincount(labels[150:300]).argmax()  # goes with its nearest


@pytest.fixture(scope="module")
def small(standin):
    return pictures.two_kinds(["digits"], 240, 0)


def test_every_reduction_gives_finite_points(small):
    for latent_dim, reductions in (
        (1024, {"pca": 32, "svd": 32, "none": 1024}),
        (12, {"pca": 12, "svd": 11, "tsne": 2}),
    ):
        trained = pipeline.train(pipeline.as_tensor(small[0]), replace(QUICK, latent_dim=latent_dim))
        for reduction, dimensions in reductions.items():
            points = pipeline.reduce(trained.codes, replace(QUICK, reduction=reduction))
            assert np.isfinite(points).all(), (reduction, latent_dim)
            assert points.shape == (240, dimensions), (reduction, latent_dim)


def test_every_way_to_train_lowers_its_loss(small):
    for changes in ({"loss": "mse"}, {"optimizer": "sgd"}, {"optimizer": "rmsprop"}, {"optimizer": "adamw"}):
        losses = pipeline.train(pipeline.as_tensor(small[0]), replace(QUICK, epochs=3, **changes)).losses
        assert losses[-1] < losses[0], changes


def test_a_trained_autoencoder_is_kept_until_something_it_depends_on_changes(small, monkeypatch):
    tensor = pipeline.as_tensor(small[0])
    first = pipeline.train(tensor, QUICK)
    trained = []
    real = pipeline._descend
    monkeypatch.setattr(pipeline, "_descend", lambda *a: trained.append(1) or real(*a))
    again = pipeline.train(tensor, QUICK)
    assert np.array_equal(first.codes, again.codes)
    assert first.losses == again.losses
    assert not trained
    pipeline.train(tensor, replace(QUICK, seed=1))
    pipeline.train(tensor[1:], QUICK)
    assert len(trained) == 2
    files.cache_path("clustering", pipeline._depends_on(tensor, QUICK)).write_bytes(b"damaged")
    assert pipeline.train(tensor, QUICK).losses == first.losses
    assert len(trained) == 3


def test_an_ensemble_is_the_consensus_of_its_members(small):
    known = np.zeros(5, int)
    result = pipeline.run(small[0], replace(QUICK, ensemble=3), known)
    assert result.members.shape == (3, 240)
    assert np.array_equal(result.labels, submission.flip(submission.consensus(result.members), known))


def test_comparison_scores_every_row(small, monkeypatch):
    monkeypatch.setattr(compare, "TRAININGS", {"as in the text": {}, "loss MSE": {"loss": "mse"}})
    base = replace(QUICK, reduced_dim=8)
    rows = compare.compare(*small, base, reductions=["pca", "svd"])
    assert {row.training for row in rows} >= set(compare.TRAININGS)
    assert all(0 <= row.accuracy <= 1 for row in rows)
    assert sum(row.clusterer == "consensus" for row in rows) == 3
    kinds = small[1].copy()
    kinds[5:] = 1 - kinds[5:]  # other kinds beyond the known five: the same labels, so the accuracies mirror
    mirrored = compare.compare(small[0], kinds, base, reductions=["pca", "svd"])
    for row, other in zip(rows, mirrored, strict=True):
        assert abs(row.accuracy + other.accuracy - 1) <= 5.5 / 240


def test_labels_come_from_the_images_alone(run_script, standin, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    flags = ["--epochs", 2, "--seed", 0]
    done = run_script(command, "--dataset", "digits", "--count", 240, *flags, "--results_path", one)
    assert done.status == 0, done.err
    assert done.out.isascii()
    assert "accuracy" in done.out
    files_there = "clusters.png config.yaml losses.csv model plane.png submission.csv"
    assert " ".join(sorted(p.name for p in one.iterdir())) == files_there
    images, kinds = pictures.two_kinds(["digits"], 240, 0)
    np.save(tmp_path / "trainX.npy", images)
    done = run_script(command, "--images", tmp_path / "trainX.npy", *flags, "--results_path", other)
    assert done.status == 0, done.err
    assert "accuracy" not in done.out
    text = (one / "submission.csv").read_text()
    assert text == (other / "submission.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert list(rows[0]) == ["id", "label"]
    assert [int(row["id"]) for row in rows] == list(range(240))
    labels = np.array([int(row["label"]) for row in rows])
    assert set(labels.tolist()) <= {0, 1}
    assert labels[:5].sum() < 3
    facts = yaml.safe_load((one / "config.yaml").read_text())
    assert facts["accuracy"] == pytest.approx((labels == kinds).mean())


def test_bad_input_is_one_line(run_script, standin):
    flags = (
        "--latent_dim 4096, --learning_rate -1, --known 0000, --known 00200, --known 00001 --dataset digits, "
        "--count 3, --compare --images x.npy, --seed 4294967296"
    )
    cases = [
        ("--images nowhere.npy", "nowhere.npy"),
        ("--epochs 0", "epochs must be between 1"),
        ("--reduction lda", "lda"),
        ("--reduction svd --latent_dim 2", "--reduction svd needs --latent_dim of 3 or more"),
        ("--best --compare", "--compare"),
        ("--images x.npy --dataset digits", "--dataset"),
    ]
    companion.check_refused(run_script, command, cases, flags)


def test_a_bad_file_of_images_is_one_line(run_script, tmp_path):
    file = tmp_path / "trainX.npy"
    file.write_bytes(b"not an array")
    companion.check_refused(run_script, command, [(["--images", file], "not a .npy file")])
    for content, cause in (
        (np.zeros((200, 32, 32, 3)), "float64"),
        (np.zeros((200, 3, 32, 32), np.uint8), "(200, 3, 32, 32)"),
        (np.zeros((3, 32, 32, 3), np.uint8), "3 images"),
        (np.zeros((200, 32, 32, 3), np.uint8), "one picture 200 times"),
        (np.array([{"a": 1}], dtype=object), "not a .npy file"),
    ):
        np.save(file, content, allow_pickle=True)
        companion.check_refused(run_script, command, [(["--images", file], cause)])


def test_a_loss_that_explodes_is_one_line(run_script, standin, tmp_path):
    flags = ["--optimizer", "sgd", "--loss", "mse", "--learning_rate", 10, "--activation", "relu", "--epochs", 3]
    np.save(tmp_path / "x.npy", pictures.two_kinds(["digits"], 200, 0)[0])
    done = run_script(command, "--images", tmp_path / "x.npy", *flags, "--results_path", tmp_path / "run")
    if done.status:  # tanh may saturate instead, which is a poor but finite result
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_on_the_default_images_the_best_way_reaches_098(mnist_dir, tmp_path, monkeypatch, run_script):
    if not (mnist_dir and FASHION_MNIST_DIR):
        pytest.skip("MNIST_DIR and FASHION_MNIST_DIR are not both set")
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    prepare.ensure("mnist", mnist_dir)
    prepare.ensure("fashion_mnist", FASHION_MNIST_DIR)
    done = run_script(command, "--best", "--results_path", tmp_path / "best")
    assert done.status == 0, done.err
    assert yaml.safe_load((tmp_path / "best" / "config.yaml").read_text())["accuracy"] >= 0.98
