"""ColoredMNIST: the generator keeps its shares, and the detector finds the odd colours without being told them."""

import numpy as np
import pytest

from hi_mnist.cli import LabError
from hi_mnist.data import load_split
from labs.deep_autoencoder import bonus, colored, submission


@pytest.fixture(scope="module")
def grey(digits):
    return digits["train"]


@pytest.fixture(scope="module", params=range(1, len(colored.SEVERITIES) + 1))
def data(grey, request):
    return colored.colorize(*grey, severity=request.param, seed=1)


def test_shares_are_exact_in_every_class_and_alike_in_unbiased_images_and_a_seed_decides(grey, data):
    first, again, other = (colored.colorize(*grey, severity=2, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.images, again.images) and not np.array_equal(first.colours, other.colours)
    unbiased = colored.colorize(*grey, seed=0, aligned=bonus.UNBIASED)
    for label in range(10):
        assert np.ptp(np.bincount(unbiased.colours[unbiased.labels == label], minlength=10)) <= 1
        counts = np.bincount(data.colours[data.labels == label], minlength=10)
        assert counts.sum() - counts[label] == round(0.1 * counts.sum())
        assert np.ptp(np.delete(counts, label)) <= 1


def test_background_stays_black_and_shapes_stay(grey, data):
    assert data.images.dtype == np.uint8
    background = grey.images[:, 0] == 0
    assert not data.images.transpose(0, 2, 3, 1)[background].any()
    assert np.array_equal(data.labels, grey.labels)


def test_severity_is_the_noise_on_the_colours(grey):
    for severity, deviation in enumerate(colored.SEVERITIES, start=1):
        data = colored.colorize(*grey, severity=severity, seed=0)
        full = (grey.images == 255).any(axis=(1, 2, 3))
        mean = colored.COLOURS[:, 0]
        inner = full & (mean[data.colours] > 0.14) & (mean[data.colours] < 0.86)  # not cut at 0 or 1
        off = data.images.max(axis=(2, 3))[inner, 0] / 255 - mean[data.colours[inner]]
        assert off.std() == pytest.approx(deviation, rel=0.15, abs=0.001)  # 8 bits round, too


def test_colours_can_be_told_apart():
    distances = np.linalg.norm(colored.COLOURS[:, None] - colored.COLOURS[None], axis=2)
    assert distances[~np.eye(10, dtype=bool)].min() >= 0.4
    assert np.linalg.norm(colored.COLOURS, axis=1).min() > 0.5


def test_the_solution_finds_the_odd_colours_in_each_class_and_over_all(data):
    found = colored.evaluate(bonus.scored(data), data)
    assert np.min([found.overall, *found.by_class]) >= 0.95


def test_on_real_images_recall_is_095_at_severity_1(real_mnist, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(real_mnist))
    data = colored.colorize(*load_split("test", "mnist"), severity=1, seed=0)
    test_the_solution_finds_the_odd_colours_in_each_class_and_over_all(data)


def test_a_score_of_another_form_is_one_line(data, monkeypatch):
    for wrong in (1.0, np.ones(3), np.full(len(data.labels), np.nan)):
        monkeypatch.setattr(submission, "score", lambda images, labels, wrong=wrong: wrong)
        with pytest.raises(LabError, match=r"score\(\) of submission.py .*finite numbers"):
            bonus.scored(data)


def test_neighbours_are_sought_within_the_class_only():
    rows = np.array([[0.0], [0.1], [5.0], [0.0], [0.1], [0.2]])
    scores = colored.neighbour_distance(rows, np.array([0, 0, 0, 1, 1, 1]))
    assert scores.argmax() == 2
    assert scores[3:].max() < 0.3
    # A lone image of a class has none.
    assert colored.neighbour_distance(np.ones((1, 4)), np.array([3])).tolist() == [0.0]


def test_exactly_the_share_is_flagged_even_among_ties_and_recall_counts_the_odd_ones_only():
    assert colored.flag(np.ones(50), 0.1).sum() == 5
    assert colored.recall(np.array([True, False, True, True]), np.array([True, True, False, False])) == 0.5
    assert np.isnan(colored.recall(np.array([True]), np.array([False])))
