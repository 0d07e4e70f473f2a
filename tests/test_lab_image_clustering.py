"""Image clustering: the pictures, the rules on labels, the pipeline on the stand-in, bad input."""

import csv
import os
from dataclasses import replace
from functools import partial

import companion
import numpy as np
import pytest
import torch
import yaml
from companion import one_thread  # noqa: F401
from PIL import Image
from sklearn.preprocessing import StandardScaler
from torch import nn

from hi_mnist import data, files, prepare
from hi_mnist.cli import LabError
from labs import image_clustering as lab
from labs.image_clustering import __main__ as command
from labs.image_clustering import compare, pictures, pipeline, questions, submission, tasks  # noqa: F401, found by lab
from labs.image_clustering.settings import CLUSTERERS, Settings

FASHION_MNIST_DIR = os.environ.get("FASHION_MNIST_DIR")  # as it was when the tests began
QUICK = Settings(epochs=2)


def built(encoder=(), decoder=None, inner=(), bias=True, **how):
    """The network with other layers after and between the convolutions; ``how`` changes those of the encoder."""
    down = {"kernel_size": 3, "stride": 2, "padding": 1, "bias": bias} | how
    up = {"kernel_size": 2, "stride": 2, "bias": bias}

    def make(*given, **flags):
        net = submission.Autoencoder()
        net.encoder = nn.Sequential(nn.Conv2d(3, 8, **down), *inner, nn.Conv2d(8, 16, **down), *encoder)
        up_again = nn.ConvTranspose2d(16, 8, **up), *inner, nn.ConvTranspose2d(8, 3, **up)
        net.decoder = nn.Sequential(*up_again, *([nn.Tanh()] if decoder is None else decoder))
        return net

    return make


def scaled(codes, ddof=0):
    spread = codes.std(axis=0, ddof=ddof)
    return (codes - codes.mean(axis=0)) / np.where(spread > 1e-6, spread, 1)


def agreed(rows, ties=0):
    """The consensus in other words; ``ties`` None go to the reference."""
    rows = rows.astype(int)
    alike = np.array([[(a == b).mean() for b in rows] for a in rows])
    centre = np.abs(alike - 0.5).sum(axis=1).argmax()
    mean = np.where(alike[centre][:, None] < 0.5, 1 - rows, rows).mean(axis=0)
    return np.where(mean == 0.5, rows[centre] if ties is None else ties, mean > 0.5).astype(int)


def test_a_slip_is_named_and_costs_its_part():
    cases = (
        ("Autoencoder", built(decoder=()), 6, "decoder ends with no function"),
        ("Autoencoder", built(decoder=[nn.Sigmoid()]), 6, "decoder ends with a sigmoid"),
        ("Autoencoder", built(encoder=[nn.ReLU()]), 6, "encoder ends with ReLU"),
        ("Autoencoder", built(inner=[nn.ReLU()]), 0, "encoder has ReLU between"),
        ("Autoencoder", built(encoder=[nn.BatchNorm2d(16)]), 6, "encoder's parameters have the shapes"),
        ("Autoencoder", built(stride=1), 6, "shape (1, 16, 32, 32)"),
        ("Autoencoder", built(padding=0), 6, "shape (1, 16, 7, 7)"),
        ("Autoencoder", built(bias=False), 0, "encoder's parameters have the shapes"),
        ("Autoencoder", lambda: built()().double(), 0, "float32"),
        ("standardise", lambda c: (c - c.mean(0)) / np.where(c.std(0) > 0, c.std(0), 1), 4, "a column of 0.1"),
        ("standardise", lambda c: np.where(np.ptp(c, 0) > 0, scaled(c), np.nan), 4, "a column of 3"),
        ("standardise", lambda c: (c - c.mean()) / c.std(), 2, "the whole array"),
        ("standardise", lambda c: c - c.mean(0), 2, "nothing is divided"),
        ("flip", lambda labels, known: 1 - labels if labels[:5].sum() >= 3 else labels, 2, "cases"),
        ("flip", lambda labels, known: 1 - labels if labels[0] != known[0] else labels, 0, "cases"),
        ("flip", lambda labels, known: np.append(known, labels[len(known) :]), 0, "cases"),
        ("consensus", lambda rows: (rows.mean(0) > 0.5).astype(int), 2, "exchanged vote against"),
        ("consensus", agreed, 6, "[[0, 1, 1, 0, 1, 0, 1, 0]"),
        ("consensus", lambda rows: agreed(rows, ties=1), 6, "(or exchanged)"),
        ("consensus", lambda rows: rows if rows.dtype == np.uint8 else agreed(rows, None), 6, "uint8"),
    )
    companion.check_mistakes(lab, cases)


def test_a_right_variant_gets_all_points():
    consensus, flip = partial(agreed, ties=None), submission.flip
    cases = (
        ("Autoencoder", built()),  # the text's own, without an activation
        ("Autoencoder", lambda *given, **flags: submission.Autoencoder(activation="none")),
        ("standardise", scaled),
        ("standardise", partial(scaled, ddof=1)),
        ("standardise", lambda codes: StandardScaler().fit_transform(codes.astype(float))),
        ("flip", lambda labels, known: flip(labels, known).astype(np.uint8)),
        ("flip", lambda labels, known: labels ^ int((labels[: len(known)] == known).mean() < 0.5)),
        ("consensus", consensus),
        ("consensus", lambda rows: 1 - consensus(rows)),
        ("consensus", lambda rows: consensus(rows).astype(bool)),
    )
    companion.check_right(lab, cases)


def test_pictures_are_half_of_each_kind_begin_with_five_digits_and_follow_their_seed(standin):
    for seed in range(8):
        images, kinds = pictures.two_kinds(["digits"], 60, seed)
        assert (images.shape, images.dtype) == ((60, 32, 32, 3), np.uint8)
        assert kinds.sum() == 30 and not kinds[:5].any()
    assert len(pictures.two_kinds(["digits"], 10**6, 0)[0]) == 2 * 1437
    low = (data.load_split("train", "digits")[1] < 5).sum()
    assert len(pictures.two_kinds(["digits"], 10**6, 0, "low")[0]) == 2 * low
    once, again, other = (pictures.two_kinds(["digits"], 80, seed) for seed in (3, 3, 4))
    assert all(map(np.array_equal, once, again)) and not np.array_equal(once[0], other[0])


def test_neither_colour_nor_size_tells_the_kind(standin):
    images, kinds = pictures.two_kinds(["digits"], 2000, 0)
    brightest = images.max(axis=(1, 2)) / images.max(axis=(1, 2, 3))[:, None]
    assert np.abs(brightest[kinds == 0].mean(axis=0) - brightest[kinds == 1].mean(axis=0)).max() < 0.03
    lit = images.any(axis=3)
    longest = np.maximum(lit.any(axis=1).sum(axis=1), lit.any(axis=2).sum(axis=1))
    assert set(longest[kinds == 0]) | set(longest[kinds == 1]) <= {pictures.BOX - 1, pictures.BOX}


def test_reconstructions_and_their_errors_are_in_the_pictures_own_units():
    images = np.full((2, 32, 32, 3), [[[[0]]], [[[255]]]], np.uint8)
    for shift in (0, 0.5):
        made, errors = pipeline.reconstruct(lambda x, shift=shift: (x, x - shift * x), pipeline.as_tensor(images))
        assert np.array_equal(made, np.abs(images.astype(int) - 64)) if shift else np.array_equal(made, images)
        assert errors.tolist() == [shift, shift]  # of pixels in [-1, 1]


def test_spectral_clustering_follows_shapes_that_k_means_cuts():
    rng, ring = np.random.default_rng(0), np.arange(400) % 2
    angle, radius = rng.uniform(0, 2 * np.pi, 400), (1 + 3 * ring)[:, None]
    points = radius * np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(scale=0.1, size=(400, 2))
    shares = {}
    for clusterer in CLUSTERERS:
        labels = pipeline.cluster(points, Settings(clusterer=clusterer))
        assert set(labels.tolist()) == {0, 1} and labels.dtype == np.int64
        shares[clusterer] = max((labels == ring).mean(), (labels != ring).mean())
    assert shares["spectral"] == 1 and shares["kmeans"] < 0.7


def test_an_island_is_not_cut_off_as_a_cluster():
    rng = np.random.default_rng(0)
    blobs = [rng.normal(size=(150, 2)) + [x, 0] for x in (0, 5)]
    island = rng.normal(size=(15, 2), scale=0.1) + [60, 0]
    labels = pipeline.cut(np.concatenate([*blobs, island]), seed=0)
    assert np.bincount(labels[:150]).max() > 140
    assert (labels[300:] == np.bincount(labels[150:300]).argmax()).all()  # goes with its nearest


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
            assert np.isfinite(points).all() and points.shape == (240, dimensions), (reduction, latent_dim)


def test_every_way_to_train_lowers_its_loss_and_one_that_is_no_number_is_one_line(small):
    for changes in ({"loss": "mse"}, {"optimizer": "sgd"}, {"optimizer": "rmsprop"}, {"optimizer": "adamw"}):
        losses = pipeline.train(pipeline.as_tensor(small[0]), replace(QUICK, epochs=3, **changes)).losses
        assert losses[-1] < losses[0], changes
    with pytest.raises(LabError, match="take a smaller --learning_rate"):
        pipeline.train(torch.full((40, 3, 32, 32), torch.nan), QUICK)


def test_a_trained_autoencoder_is_kept_until_something_it_depends_on_changes(small, monkeypatch):
    tensor = pipeline.as_tensor(small[0])
    first = pipeline.train(tensor, QUICK)
    trained = []
    real = pipeline._descend
    monkeypatch.setattr(pipeline, "_descend", lambda *a: trained.append(1) or real(*a))
    again = pipeline.train(tensor, QUICK)
    assert np.array_equal(first.codes, again.codes) and first.losses == again.losses and not trained
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
    names = ("as in the text", "relu, 64 numbers")
    monkeypatch.setattr(compare, "TRAININGS", {name: compare.TRAININGS[name] for name in names})
    base = replace(QUICK, reduced_dim=8)
    rows, made = compare.compare(*small, base, reductions=["pca", "svd"])
    per_training = {name: sum(row.training == name for row in rows) for name in {row.training for row in rows}}
    assert per_training == {"none: pixels": 4, "as in the text": 3, "relu, 64 numbers": 6} | dict.fromkeys(
        ("ensemble: kmeans", "ensemble: gmm", "ensemble: spectral", "ensemble: every clusterer and reduction"), 1
    )
    assert [images.shape for images in made.values()] == [(240, 32, 32, 3)]
    kinds = small[1].copy()
    kinds[5:] = 1 - kinds[5:]  # other kinds beyond the known five: the same labels, so the accuracies mirror
    mirrored, _ = compare.compare(small[0], kinds, base, reductions=["pca", "svd"])
    for row, other in zip(rows, mirrored, strict=True):
        assert abs(row.accuracy + other.accuracy - 1) <= 5.5 / 240


def test_the_most_stable_way_comes_first_and_one_that_cuts_off_a_handful_last(small, monkeypatch):
    rng = np.random.default_rng(0)
    parts = {"kmeans": np.arange(240) < 9, "gmm": np.arange(240) % 2, "spectral": None}

    def cluster(points, settings):
        part = parts[settings.clusterer]
        return (rng.integers(0, 2, 240) if part is None else part.astype(int)) ^ settings.seed % 2

    monkeypatch.setattr(compare, "STABLE", {"as in the text": {}})
    monkeypatch.setattr(compare, "cluster", cluster)
    ways = compare.choose(small[0], replace(QUICK, epochs=1))
    assert [way.clusterer for way in ways] == ["gmm", "spectral", "kmeans"]
    assert (ways[0].agreement, ways[2].agreement, ways[2].smallest) == (1, 1, 9 / 240)


def test_a_folder_of_pictures_becomes_a_file_of_images(run_script, tmp_path):
    file, other = tmp_path / "trainX.npy", tmp_path / "other.npy"
    for i, (mode, size) in enumerate([("RGB", (90, 60)), ("L", (20, 50)), ("RGBA", (32, 32)), ("P", (400, 30))]):
        Image.new(mode, size, 10 * i if mode in "LP" else (10 * i,) * len(mode)).save(tmp_path / f"{i}.png")
    done = run_script(command, "--convert", tmp_path, "--images", file)
    assert done.status == 0, done.err
    images = np.load(file)
    assert (images.shape, images.dtype) == ((4, 32, 32, 3), np.uint8)
    assert images[:3, 16, 16, 0].tolist() == [0, 10, 20]
    (tmp_path / "4.jpg").write_bytes(b"\xff\xd8 cut off")
    (tmp_path / "empty").mkdir()
    cases = [
        (["--convert", tmp_path], "name it: --convert"),
        (["--convert", tmp_path, "--images", file], "exists and is not overwritten"),
        (["--convert", tmp_path, "--images", other], "4.jpg cannot be read"),
        (["--convert", tmp_path / "none", "--images", other], str(tmp_path / "none")),
        (["--convert", tmp_path / "empty", "--images", other], "holds no pictures"),
    ]
    companion.check_refused(run_script, command, cases)


def test_labels_come_from_the_images_alone(run_script, standin, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    flags = ["--epochs", 2, "--seed", 0]
    done = run_script(command, "--dataset", "digits", "--count", 240, *flags, "--results_path", one)
    assert done.status == 0, done.err
    assert done.out.isascii() and "accuracy" in done.out
    files_there = "clusters.png config.yaml losses.csv model plane.png reconstructions.png submission.csv"
    assert " ".join(sorted(p.name for p in one.iterdir())) == files_there
    images, kinds = pictures.two_kinds(["digits"], 240, 0)
    np.save(tmp_path / "trainX.npy", images)
    done = run_script(command, "--images", tmp_path / "trainX.npy", *flags, "--results_path", other)
    assert done.status == 0 and "accuracy" not in done.out, done.err
    text = (one / "submission.csv").read_text()
    assert text == (other / "submission.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert [(list(row), row["id"]) for row in rows] == [(["id", "label"], str(i)) for i in range(240)]
    labels = np.array([int(row["label"]) for row in rows])
    assert set(labels.tolist()) <= {0, 1} and labels[:5].sum() < 3
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
        ("--best --clusterer kmeans --latent_dim 64", "--best is another way than --clusterer kmeans; leave out"),
        ("--known 11111", "--known 11111 is for --images"),
        ("--images x.npy --dataset digits", "--dataset"),
    ]
    companion.check_refused(run_script, command, cases, flags)


def test_a_bad_file_of_images_is_one_line(run_script, tmp_path):
    file = tmp_path / "trainX.npy"
    file.write_bytes(b"not an array")
    companion.check_refused(run_script, command, [(["--images", file], "for text, np.save(FILE, np.loadtxt")])
    for content, cause in (
        (np.zeros((200, 32, 32, 3)), "float64 (200, 32, 32, 3), not uint8 (N, 32, 32, 3); bring its numbers to 0..255"),
        (np.zeros((200, 3, 32, 32), np.uint8), "images.transpose(0, 2, 3, 1)"),
        (np.zeros((200, 3072), np.uint8), "images.reshape(-1, 32, 32, 3)"),
        (np.zeros((200, 64, 64, 3), np.uint8), "--convert makes such a file"),
        (np.zeros((3, 32, 32, 3), np.uint8), "3 images"),
        (np.zeros((200, 32, 32, 3), np.uint8), "one picture 200 times"),
        (np.array([{"a": 1}], dtype=object), "not a .npy file"),
    ):
        np.save(file, content, allow_pickle=True)
        companion.check_refused(run_script, command, [(["--images", file], cause)])


@pytest.mark.slow
def test_on_the_default_images_the_best_way_reaches_090(mnist_dir, tmp_path, monkeypatch, run_script):
    if not (mnist_dir and FASHION_MNIST_DIR):
        pytest.skip("MNIST_DIR and FASHION_MNIST_DIR are not both set")
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    prepare.ensure("mnist", mnist_dir)
    prepare.ensure("fashion_mnist", FASHION_MNIST_DIR)
    done = run_script(command, "--best", "--results_path", tmp_path / "best")
    assert done.status == 0, done.err
    assert yaml.safe_load((tmp_path / "best" / "config.yaml").read_text())["accuracy"] >= 0.9
