"""The measures of the shipped networks: known answers, and what must not change them."""

import numpy as np
import pytest
import torch
from companion import one_thread  # noqa: F401
from PIL import Image

from hi_mnist.cli import LabError
from hi_mnist.data import IMAGE_SHAPE, DataSet
from model import AE, ClassUNet
from staff.pretrain import card, judge, quality

DIGITS = list(range(10))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def noise(rng, *counts: int) -> DataSet:
    """Training and test images of noise, labelled 0 to 9 in turn."""
    parts = [(rng.integers(0, 256, (n, *IMAGE_SHAPE), dtype=np.uint8), np.arange(n) % 10) for n in counts]
    return DataSet(*parts[0], *parts[1])


def tiny_unet() -> ClassUNet:
    return ClassUNet(channels=8, inner_channels=8, emb_dim=8).eval()


def test_clusters_are_named_one_to_one_where_the_majority_would_not_be(rng):
    # Clusters 0 and 1 hold mostly digit 0; only one of them may be named so.
    labels = np.array([0] * 6 + [1] * 1 + [0] * 4 + [1] * 3 + DIGITS[2:] * 3)
    clusters = np.array([0] * 7 + [1] * 7 + DIGITS[2:] * 3)
    for renumbered in (np.arange(10), rng.permutation(10)):
        assert quality.name_clusters(renumbered[clusters], labels)[renumbered].tolist() == DIGITS
        wanted = ["4 images of 0 among the 1s", "1 images of 1 among the 0s"]  # in falling order, no zeros
        assert quality.largest_confusions(renumbered[clusters], labels) == wanted


def test_samples_repeat_with_the_seed_and_real_ones_are_balanced(rng):
    net, way = tiny_unet(), quality.Way(steps=2, guidance=1.0)
    first, again = (quality.draw_samples(net, way, 2) for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == (20, 1, 28, 28)
    np.testing.assert_array_equal(first, again)
    labels = rng.integers(0, 10, 400)
    index = quality.balanced_subset(labels, 12, 0)
    assert labels[index].tolist() == np.repeat(DIGITS, 12).tolist()
    assert len(set(index)) == 120


def test_the_judge_is_trained_once_and_then_read_from_the_cache(rng, monkeypatch, tmp_path):
    few, train = noise(rng, 40, 40), judge.train_judge
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.setattr(judge, "train_judge", lambda mnist: train(mnist, epochs=2, batch=20))
    trained, accuracy = judge.load_judge(few)
    monkeypatch.setattr(judge, "train_judge", lambda mnist: pytest.fail("trained again"))
    read, same = judge.load_judge(few)
    np.testing.assert_allclose(read.features(few.test), trained.features(few.test), rtol=1e-4, atol=1e-5)
    assert same == accuracy
    assert read.features(few.test).shape == (40, 128) and read.predict(read.features(few.test)).shape == (40,)


@pytest.mark.filterwarnings("ignore")  # mixtures of noise do not converge
def test_figures_are_complete(rng):
    few = noise(rng, 200, 60)
    torch.manual_seed(0)
    ae = quality.measure_ae(AE().eval(), few, few)
    ways = [quality.Way(2, 0.0), quality.Way(2, 1.0)]
    ddpm = quality.measure_ddpm(tiny_unet(), judge.Judge(judge.JudgeNet()), few, ways, per_class=3)
    assert all(0 <= ae[name] <= 1 for name in ("accuracy", "nmi", "lowest", "own", "foreign", "neighbours", "mse"))
    assert (ae["errors"] >= 0).mean() == pytest.approx(1 - ae["accuracy"], abs=0.1)  # the median mixture's
    rows = ddpm["rows"]
    assert [name for name in rows if "steps" in name] == ["2 steps, guidance 0", "2 steps, guidance 1 in 0.25 to 0.75"]
    real = rows["real training images, mean of draws"]
    assert real["diversity_pixels"] == pytest.approx(1, abs=0.02)  # noise is as diverse as noise
    assert real["exactly 0"] == pytest.approx(1 / 256, abs=2e-3)
    images, asked, read = ddpm["errors"]
    assert len(images) == len(asked) == len(read) == 60 and not (read == asked).any()


def test_a_card_keeps_its_text_and_shows_each_seed_its_figures_and_the_errors(rng, tmp_path):
    few = noise(rng, 40, 20)
    figures = dict.fromkeys(card.AE_ROWS, 0.5) | {
        "parameters": 7,
        "pca": 0.1,
        "confusions": ["2 images of 3 among the 5s"],
    }
    errors = np.where(np.arange(20) < 13, 5, -1)
    measured = {seed: figures | {"accuracy": seed / 10, "errors": errors} for seed in (3, 4, 9)}
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "README.md").write_text(f"before\n{card.START}old{card.END}\nafter\n", encoding="utf-8")
    card.write_ae(tmp_path, measured, 9, few)
    card.write_ae(tmp_path, measured, 4, few)  # replaces what the first call wrote
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    header, accuracy = (
        next(line for line in text.splitlines() if start in line) for start in ("seed 3", "accuracy on")
    )
    assert [cell.strip() for cell in header.split("|")][2:6] == ["seed 3", "**seed 4, shipped**", "seed 9", "median"]
    assert [cell.strip() for cell in accuracy.split("|")][2:6] == ["0.3000", "0.4000", "0.9000", "0.4000"]
    assert "13 of 13 errors in 20 images" in text and "2 images of 3 among the 5s" in text
    with Image.open(tmp_path / "errors.png") as picture:
        assert picture.size[0] > picture.size[1]  # two rows of twelve
    half = text.replace(card.END, "")
    (tmp_path / "README.md").write_text(half, encoding="utf-8")
    with pytest.raises(LabError, match="marks"):
        card.write_ae(tmp_path, measured, 9, few)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == half
