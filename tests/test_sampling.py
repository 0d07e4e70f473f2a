"""sample_from_gmm: its draws, and the picture that it writes."""

import numpy as np
import pytest
from PIL import Image

from hi_mnist import training
from submission import GMM, PCA, sample_from_gmm


def plane(mean: np.ndarray, d: int = 2) -> PCA:
    """A PCA around ``mean`` (784,) with d random orthonormal components."""
    pca = PCA(d)
    pca.mean = np.asarray(mean, dtype=np.float64)
    pca.components = np.linalg.qr(np.random.default_rng(0).normal(size=(784, d)))[0].T
    return pca


def mixture(means, covs) -> GMM:
    gmm = GMM(len(means), len(means[0]))
    gmm.means, gmm.covs = np.array(means, dtype=np.float64), np.array(covs, dtype=np.float64)
    return gmm


def draw(gmm: GMM, pca: PCA, label: int, folder) -> np.ndarray:
    sample_from_gmm(gmm, pca, label, folder)
    with Image.open(folder / "gmm_sample.png") as image:
        return np.asarray(image)


def test_many_draws_have_the_mean_and_covariance_of_their_component(tmp_path):
    means = [[300.0, -200.0], [-250.0, 150.0]]
    covs = [[[900.0, 500.0], [500.0, 600.0]], [[400.0, -100.0], [-100.0, 1600.0]]]
    gmm, pca = mixture(means, covs), plane(np.full(784, 128.0))
    np.random.seed(0)
    n = 300
    for label in (0, 1):
        images = np.stack([draw(gmm, pca, label, tmp_path) for _ in range(n)]).astype(np.float64)
        assert images.min() > 0 and images.max() < 255  # nothing was clipped, so the codes can be read back
        codes = (images.reshape(n, 784) - pca.mean) @ pca.components.T
        errors = np.sqrt(np.diag(covs[label]) / n)
        assert (np.abs(codes.mean(axis=0) - means[label]) < 4 * errors).all()
        sd = np.sqrt(np.diag(covs[label]))
        difference = (np.cov(codes.T) - covs[label]) / np.outer(sd, sd)
        assert np.abs(difference).max() < 4 * np.sqrt(2 / n)


def test_the_file_is_a_28_by_28_picture_of_8_bit_grey(tmp_path):
    sample_from_gmm(mixture([[0, 0]], [np.eye(2)]), plane(np.full(784, 100)), 0, str(tmp_path))  # text is a path, too
    assert [p.name for p in tmp_path.iterdir()] == ["gmm_sample.png"]
    with Image.open(tmp_path / "gmm_sample.png") as image:
        assert (image.format, image.size, image.mode) == ("PNG", (28, 28), "L")


IMAGES = {  # a mean (784,), and the expected grey levels
    "out of range is clipped": (np.linspace(-300, 600, 784).round(), lambda mean: np.clip(mean, 0, 255)),
    "not stretched": (np.where(np.arange(784) % 2, 90.0, 110.0), lambda mean: mean),
    "rounded to the nearest": (np.full(784, 99.7), lambda mean: np.full(784, 100)),
    "row by row": (np.repeat(np.arange(28.0), 28), lambda mean: mean),
}


@pytest.mark.parametrize("case", IMAGES)
def test_grey_levels_are_the_pixels(tmp_path, case):
    mean, expected = IMAGES[case]
    image = draw(mixture([[0, 0]], [1e-18 * np.eye(2)]), plane(mean), 0, tmp_path)  # noise of 1e-9
    assert np.array_equal(image, expected(mean).reshape(28, 28))


@pytest.mark.parametrize("seed", [training.set_seed, np.random.seed], ids=["utils.set_seed", "np.random.seed"])
def test_same_seed_same_picture_and_fresh_ones_without(tmp_path, seed):
    gmm, pca = mixture([[0, 0]], [1e5 * np.eye(2)]), plane(np.full(784, 128))
    pictures = []
    for _ in range(2):
        seed(7)
        pictures += [draw(gmm, pca, 0, tmp_path), draw(gmm, pca, 0, tmp_path)]
    assert np.array_equal(pictures[0], pictures[2])
    assert np.array_equal(pictures[1], pictures[3])
    assert not np.array_equal(pictures[0], pictures[1])
