"""The measures of digit samples: known answers."""

import numpy as np
import pytest

from report import measures


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_class_agreement_counts_by_class():
    asked = np.arange(10).repeat(4)
    result = measures.class_agreement(asked, np.concatenate([[5, 5], asked[2:]]))  # two of four zeros look like fives
    assert result == {"overall": 38 / 40, "per_class": [0.5] + [1.0] * 9}


def test_frechet_distance_equals_the_square_root_formula_of_general_gaussians(rng):
    a = rng.normal(size=(500, 5)) @ rng.normal(size=(5, 5))
    b = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5)) + 1
    s_a, s_b, shift = np.cov(a, rowvar=False), np.cov(b, rowvar=False), a.mean(axis=0) - b.mean(axis=0)
    # S_a S_b is not symmetric, but its eigenvalues are real and not negative.
    trace_of_root = np.sqrt(np.linalg.eigvals(s_a @ s_b).real).sum()
    expected = shift @ shift + np.trace(s_a) + np.trace(s_b) - 2 * trace_of_root
    assert measures.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert measures.frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)
    few = rng.normal(size=(20, 64)).astype(np.float32)  # fewer samples than features
    assert measures.frechet_distance(few, few) == pytest.approx(0, abs=1e-5)
    assert np.isfinite(measures.frechet_distance(few, rng.normal(size=(30, 64))))


def test_spreads_are_mean_distances_within_each_class(rng):
    labels, real = np.arange(10).repeat(8), rng.normal(size=(80, 20))
    spreads = measures.class_spreads(real, labels)
    for images, wanted in ((real, 1), (0.9 * real + 5, 0.9), (real[::8].repeat(8, axis=0), 0)):
        np.testing.assert_allclose(measures.class_spreads(images, labels) / spreads, wanted, atol=1e-12)
    assert measures.class_spreads(np.array([[0.0, 0], [3, 4], [0, 0]]), np.zeros(3), 1) == pytest.approx(10 / 3)
    bytes_ = np.array([[250], [5]], dtype=np.uint8)
    assert measures.class_spreads(bytes_, np.zeros(2), 1) == 245  # uint8 subtraction would give 11
