"""The principal components against scikit-learn and whole-number arithmetic."""

import tracemalloc

import numpy as np
import pytest
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


def assert_same_subspace(ours: PCA, theirs: Reference) -> None:
    projectors = (pca.T @ pca for pca in (ours.components, theirs.components_))
    np.testing.assert_allclose(*projectors, atol=1e-6)
    np.testing.assert_allclose(ours.mean, theirs.mean_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_equals_scikit_learn(dtype):
    X = pixels(3000, 60).astype(dtype)
    X[:, [0, 7]] = [0, 255]  # pixels that never change belong to no component
    before = X.copy()
    for d in (1, 5, 12):
        ours, theirs = fitted(X, d), Reference(d, svd_solver="full").fit(X.astype(np.float64))
        assert ours.components.dtype == ours.mean.dtype == np.float64
        assert_same_subspace(ours, theirs)
        # Row by row up to sign: the same axes in the same order.
        np.testing.assert_allclose(np.abs(ours.components @ theirs.components_.T), np.eye(d), atol=1e-6)
        assert (ours.components[np.arange(d), np.abs(ours.components).argmax(axis=1)] > 0).all()  # signs are fixed
    assert np.array_equal(X, before)


def test_equals_scikit_learn_on_all_real_images(real_mnist, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(real_mnist))
    X = data.flatten(data.load_split("train", "mnist")[0])
    assert_same_subspace(fitted(X, 50), Reference(50, svd_solver="covariance_eigh").fit(X.astype(np.float64)))


@pytest.mark.parametrize("values", [[0, 255], np.arange(256)], ids=["black and white", "any grey"])
def test_scatter_of_pixels_is_exact(values):
    for N in (1, 2, 1023, 1024, 1025, 2500):  # the full blocks of black and white make the largest sums
        X = np.random.default_rng(N).choice(values, size=(N, 30)).astype(np.uint8)
        X[:, 0] = 0
        mean, scatter = PCA._moments(X)
        whole = X.astype(np.int64)
        total = whole.sum(axis=0)
        exact = (N * (whole.T @ whole) - np.outer(total, total)) / N  # whole numbers up to the division
        np.testing.assert_allclose(scatter, exact, rtol=0, atol=1e-14 * 128**2 * N)
        np.testing.assert_allclose(mean, total / N, rtol=1e-14, atol=1e-13)


def test_pixels_are_not_copied_to_float64():
    X = np.random.default_rng(0).integers(0, 256, size=(40_000, 784), dtype=np.uint8)
    tracemalloc.start()
    fitted(X, 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.size * 8 / 4  # a float64 copy is 251 MB


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_fewer_samples_than_dimensions(dtype):
    X = pixels(8, 50).astype(dtype)
    pca = fitted(X, 20)
    theirs = Reference(7, svd_solver="full").fit(X.astype(np.float64))
    np.testing.assert_allclose(np.abs(pca.components[:7] @ theirs.components_.T), np.eye(7), atol=1e-6)
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(20), atol=1e-10)
    np.testing.assert_allclose(pca.inverse_transform(pca.transform(X)), X, atol=1e-8)


@pytest.mark.parametrize("X", [np.full((20, 9), 77, np.uint8), np.zeros((1, 9))], ids=["all alike", "one sample"])
def test_data_without_variance_give_finite_components(X):
    pca = fitted(X, 3)
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(pca.transform(X), 0, atol=1e-9)


def test_float32_with_a_large_offset_keeps_its_precision():
    X = (pixels(1500, 20).astype(np.float64) / 255 + 4000).astype(np.float32)
    theirs = Reference(3, svd_solver="full").fit(X.astype(np.float64))
    np.testing.assert_allclose(np.abs(fitted(X, 3).components @ theirs.components_.T), np.eye(3), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_transform_is_the_projection_of_the_centred_data(dtype):
    pca = fitted(pixels(1000, 25), 4)
    for N in (0, 1, 1024, 1025, 3000):
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
