"""The principal components against scikit-learn and whole-number arithmetic."""

import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.decomposition import PCA as Reference

from hi_mnist import data
from submission import PCA


def pixels(N: int, D: int, seed: int = 0) -> np.ndarray:
    """uint8 (N, D) with a few strong directions and noise, the full range of values among them."""
    rng = np.random.default_rng(seed)
    strong = rng.normal(size=(N, 6)) * [90, 60, 45, 30, 20, 12]
    X = 128 + strong @ rng.normal(size=(6, D)) + rng.normal(scale=4, size=(N, D))
    return np.clip(X, 0, 255).astype(np.uint8)


def fitted(X: np.ndarray, d: int) -> PCA:
    pca = PCA(d)
    pca.fit(X)
    return pca


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 5, 12])
def test_equals_scikit_learn(dtype, d):
    X = pixels(3000, 60)
    ours, theirs = fitted(X.astype(dtype), d), Reference(d, svd_solver="full").fit(X.astype(np.float64))
    np.testing.assert_allclose(ours.mean, theirs.mean_, rtol=1e-6)
    assert ours.components.dtype == ours.mean.dtype == np.float64
    # Row by row up to sign: the same subspace, and the same axes in the same order.
    np.testing.assert_allclose(np.abs(ours.components @ theirs.components_.T), np.eye(d), atol=1e-6)
    projectors = ours.components.T @ ours.components, theirs.components_.T @ theirs.components_
    np.testing.assert_allclose(*projectors, atol=1e-6)


def test_equals_scikit_learn_on_images(digits):
    X = digits["train"].images.reshape(-1, 784)
    ours, theirs = fitted(X, 50), Reference(50, svd_solver="full").fit(X.astype(np.float64))
    np.testing.assert_allclose(
        ours.components.T @ ours.components, theirs.components_.T @ theirs.components_, atol=1e-6
    )
    np.testing.assert_allclose(ours.mean, theirs.mean_, atol=1e-9)


def test_whole_and_fractional_inputs_agree():
    X = pixels(2500, 40)
    whole, fractional = fitted(X, 4), fitted(X.astype(np.float64), 4)
    np.testing.assert_allclose(whole.components, fractional.components, atol=1e-10)
    np.testing.assert_allclose(whole.mean, fractional.mean, rtol=1e-13)


@pytest.mark.parametrize("N", [1, 2, 999, 1000, 1001, 2500])
@pytest.mark.parametrize("kind", ["black and white", "any grey"])
def test_scatter_of_pixels_is_exact(N, kind):
    rng = np.random.default_rng(N)
    values = [0, 255] if kind == "black and white" else np.arange(256)  # the first makes the largest sums
    X = rng.choice(values, size=(N, 30)).astype(np.uint8)
    X[:, 0] = 0
    mean, scatter = PCA._moments(X)
    whole = X.astype(np.int64)
    total = whole.sum(axis=0)
    exact = (N * (whole.T @ whole) - np.outer(total, total)) / N  # whole numbers up to the division
    np.testing.assert_allclose(scatter, exact, rtol=0, atol=1e-14 * 128**2 * N)
    np.testing.assert_allclose(mean, total / N, rtol=1e-14, atol=1e-13)


def test_components_are_orthonormal_and_ordered_by_variance(digits):
    X = digits["train"].images.reshape(-1, 784)
    pca = fitted(X, 30)
    assert pca.components.shape == (30, 784)
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(30), atol=1e-12)
    variances = pca.transform(X).var(axis=0)
    assert (np.diff(variances) <= 0).all()
    assert variances[0] > 2 * variances[-1]


def test_the_largest_entry_of_a_component_is_positive(digits):
    components = fitted(digits["train"].images.reshape(-1, 784), 20).components
    assert (components[np.arange(20), np.abs(components).argmax(axis=1)] > 0).all()


def test_pixels_are_not_copied_to_float64():
    X = np.random.default_rng(0).integers(0, 256, size=(40_000, 784), dtype=np.uint8)
    tracemalloc.start()
    fitted(X, 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.size * 8 / 4  # a float64 copy is 251 MB


def test_fit_leaves_its_input_alone():
    for dtype in (np.uint8, np.float32, np.float64):
        X = pixels(200, 20).astype(dtype)
        before = X.copy()
        fitted(X, 3)
        assert np.array_equal(X, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_fewer_samples_than_dimensions(dtype):
    X = pixels(8, 50).astype(dtype)
    pca = fitted(X, 20)
    theirs = Reference(7, svd_solver="full").fit(X.astype(np.float64))
    np.testing.assert_allclose(np.abs(pca.components[:7] @ theirs.components_.T), np.eye(7), atol=1e-6)
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(20), atol=1e-10)
    np.testing.assert_allclose(pca.inverse_transform(pca.transform(X)), X, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_constant_pixels_are_left_out_of_the_components(dtype):
    X = pixels(500, 30)
    X[:, [0, 7, 29]] = [0, 255, 13]
    pca = fitted(X.astype(dtype), 5)
    np.testing.assert_allclose(pca.components[:, [0, 7, 29]], 0, atol=1e-9)
    np.testing.assert_allclose(pca.mean[[0, 7, 29]], [0, 255, 13], rtol=1e-12)


@pytest.mark.parametrize("X", [np.full((20, 9), 77, np.uint8), np.zeros((1, 9))], ids=["all alike", "one sample"])
def test_data_without_variance_give_finite_components(X):
    pca = fitted(X, 3)
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(pca.transform(X), 0, atol=1e-9)


def test_float32_with_a_large_offset_keeps_its_precision():
    X = (pixels(1500, 20).astype(np.float64) / 255 + 4000).astype(np.float32)
    theirs = Reference(3, svd_solver="full").fit(X.astype(np.float64))
    np.testing.assert_allclose(np.abs(fitted(X, 3).components @ theirs.components_.T), np.eye(3), atol=1e-6)


@pytest.mark.parametrize("N", [1, 1024, 1025, 3000])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_transform_is_the_projection_of_the_centred_data(N, dtype):
    pca = fitted(pixels(1000, 25), 4)
    X = pixels(N, 25, seed=1).astype(dtype)
    Z = pca.transform(X)
    assert Z.dtype == np.float64
    np.testing.assert_allclose(Z, (X.astype(np.float64) - pca.mean) @ pca.components.T, atol=1e-9)


def test_inverse_transform_undoes_transform():
    X = pixels(300, 16)
    pca = fitted(X, 16)
    np.testing.assert_allclose(pca.inverse_transform(pca.transform(X)), X, atol=1e-9)
    few = fitted(X, 3)
    error = X - few.inverse_transform(few.transform(X))
    np.testing.assert_allclose(error @ few.components.T, 0, atol=1e-9)  # what is lost is orthogonal to what is kept


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: np.repeat(a, 2, axis=0)[::2]])
def test_a_saved_pca_comes_back(tmp_path, layout):
    pca = fitted(pixels(300, 16), 3)
    components, mean = pca.components.copy(), pca.mean.copy()
    pca.components, pca.mean = layout(pca.components), layout(pca.mean)
    pca.save_pretrained(tmp_path / "pca")
    back = PCA.from_pretrained(tmp_path / "pca")
    on_disk = load_file(tmp_path / "pca" / "pca.safetensors")
    assert back.dim == 3
    for name, expected in (("components", components), ("mean", mean)):
        assert np.array_equal(getattr(back, name), expected)
        assert np.array_equal(on_disk[name], expected)


def test_equals_scikit_learn_on_all_real_images(real_mnist, monkeypatch):
    pass  # gone

    monkeypatch.setenv("LAB_HOME", str(real_mnist))
    X = data.flatten(data.load_split("train", "mnist")[0])
    ours, theirs = fitted(X, 50), Reference(50, svd_solver="covariance_eigh").fit(X.astype(np.float64))
    np.testing.assert_allclose(
        ours.components.T @ ours.components, theirs.components_.T @ theirs.components_, atol=1e-6
    )
    np.testing.assert_allclose(ours.mean, theirs.mean_, atol=1e-9)
