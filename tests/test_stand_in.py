"""The offline stand-in: real digits in MNIST's format, the same every time."""

import numpy as np
import pytest

from hi_mnist import prepare


@pytest.fixture(scope="module")
def stand_in():
    return prepare.stand_in()


def test_the_stand_in_is_split_evenly_and_the_same_every_time(stand_in):
    for (images, labels), n in zip(stand_in, (1437, 360), strict=True):
        assert images.shape == (n, 1, 28, 28) and images.dtype == np.uint8
        assert labels.shape == (n,) and labels.dtype == np.int64
        counts = np.bincount(labels, minlength=10)
        assert len(counts) == 10 and counts.max() < 1.1 * counts.min()
    both = np.concatenate([images for images, _ in stand_in]).reshape(1797, -1)
    assert len(np.unique(both, axis=0)) > 1780  # no image in both splits
    for (images, labels), (again, labels_again) in zip(stand_in, prepare.stand_in(), strict=True):
        assert images.tobytes() == again.tobytes() and labels.tobytes() == labels_again.tobytes()


def test_the_stand_in_has_mnists_form(stand_in):
    for image in np.concatenate([images for images, _ in stand_in])[:, 0]:
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        weights = image / image.sum(dtype=float)
        centre = (weights.sum(1) @ np.arange(28), weights.sum(0) @ np.arange(28))
        np.testing.assert_allclose(centre, 13.5, atol=1)
        assert image.max() > 230


def test_the_stand_in_shows_digits(stand_in):
    """A nearest neighbour among the training digits reads the test digits: the pictures are what the labels say."""
    from sklearn.neighbors import KNeighborsClassifier

    (train, train_labels), (test, labels) = ((images.reshape(len(images), -1), y) for images, y in stand_in)
    assert KNeighborsClassifier(1).fit(train, train_labels).score(test, labels) > 0.95
