"""The shipped networks: small, complete, and good enough for the lab's promises."""

import hashlib

import numpy as np
import pytest
import torch
from companion import one_thread  # noqa: F401
from sklearn.mixture import GaussianMixture

import model
from grading.scores import matched_accuracy
from hi_mnist import data, networks
from hi_mnist.files import ROOT

FOLDERS = [ROOT / "pretrained" / name for name in ("mnist-ae", "mnist-ddpm")]


@pytest.fixture(scope="module")
def ae():
    return networks.load_ae()


@pytest.fixture(scope="module")
def ddpm():
    return networks.load_ddpm()


def accuracy(codes, test_codes, test_labels):
    mixture = GaussianMixture(10, random_state=0).fit(codes)
    return matched_accuracy(test_labels, mixture.predict(test_codes))


def test_both_networks_are_small_together(ae, ddpm):
    assert sum(p.numel() for p in ae.parameters()) <= 1_500_000
    assert sum(p.numel() for net in (ae, ddpm) for p in net.parameters()) <= 3_500_000
    assert sum(path.stat().st_size for folder in FOLDERS for path in folder.iterdir()) <= 15_000_000


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_network_lies_in_the_hubs_layout_and_holds_no_pickle(folder):
    files = sorted(path.name for path in folder.iterdir() if path.suffix != ".png")  # of errors, for the card
    assert files == ["README.md", "config.json", "model.safetensors"]
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert digest in (folder / "README.md").read_text(encoding="utf-8")  # its figures are those of these weights


def test_the_ae_finds_most_digits_of_the_stand_in(ae, digits):
    codes, test_codes = (networks.ae_encode(ae, digits[split].images) for split in ("train", "test"))
    assert accuracy(codes, test_codes, digits["test"].labels) >= 0.8


def test_the_ae_finds_the_digits_of_real_test_images(ae, real_mnist, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(real_mnist))
    codes = networks.ae_encode(ae, data.load_split("train", "mnist")[0][:20_000])
    images, labels = data.load_split("test", "mnist")
    assert accuracy(codes, networks.ae_encode(ae, images), labels) > 0.985


def test_the_ae_takes_pixels_of_any_dtype(ae, digits):
    images = digits["test"].images[:20]
    codes = networks.ae_encode(ae, images)
    for dtype in (np.float32, np.float64, np.int64):
        assert np.allclose(networks.ae_encode(ae, images.astype(dtype)), codes, atol=1e-5)


def test_drawn_digits_lie_where_the_ae_sees_those_digits_on_a_black_background(ae, ddpm, digits):
    codes = networks.ae_encode(ae, digits["train"].images)
    centres = np.array([np.median(codes[digits["train"].labels == k], axis=0) for k in range(10)])
    asked = [0, 1, 2, 6, 6, 6]  # well apart in the stand-in's plane
    images = networks.draw_digits(ddpm, asked, steps=50, seed=0)
    drawn = networks.ae_encode(ae, images)
    nearest = np.linalg.norm(drawn[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == asked).sum() >= 5
    assert images.dtype == np.uint8
    assert (images == 0).mean() > 0.7
    frame = np.concatenate([images[..., :2, :].ravel(), images[..., -2:, :].ravel()])
    assert (frame > 8).mean() < 0.05


def test_a_single_digit_is_drawn_by_one_thread(ddpm, monkeypatch):
    seen = []
    monkeypatch.setattr(model, "ddim_sample", lambda *_, **__: seen.append(torch.get_num_threads()) or torch.zeros(1))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        networks.draw_digits(ddpm, [6], steps=2)
        networks.draw_digits(ddpm, [6, 7], steps=2)
        assert seen == [1, 3]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
