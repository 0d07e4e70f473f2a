"""The Gaussian mixture against scikit-learn, scipy and arithmetic by hand, and what must hold on any data."""

import functools
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA as ReferencePCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.mixture._gaussian_mixture import _estimate_gaussian_parameters

from hi_mnist import data
from submission import GMM, PCA, log_gaussian


def log_joint(gmm: GMM, X: np.ndarray) -> np.ndarray:
    """log pi_k + log N_k(x_n), (N, K), by scipy."""
    columns = [
        np.log(weight) + multivariate_normal(mean, cov).logpdf(X).reshape(len(X))
        for weight, mean, cov in zip(gmm.pi, gmm.means, gmm.covs, strict=True)
    ]
    return np.stack(columns, axis=1)


def random_mixture(seed: int, K: int, D: int) -> GMM:
    rng = np.random.default_rng(seed)
    gmm = GMM(K, D)
    gmm.pi = rng.dirichlet(np.ones(K))
    gmm.means = rng.normal(scale=3, size=(K, D))
    factors = rng.normal(size=(K, D, D))
    gmm.covs = factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(D)
    return gmm


def fitted(X: np.ndarray, K: int, **settings) -> GMM:
    gmm = GMM(K, X.shape[1])
    gmm.fit(X, **({"seed": 0} | settings))
    return gmm


def encode(images: np.ndarray, d: int) -> np.ndarray:
    rows = images.reshape(len(images), -1).astype(np.float64)
    return ReferencePCA(d, svd_solver="covariance_eigh").fit_transform(rows)


@pytest.fixture(scope="module")
def codes(digits):
    """``codes(d)``: coordinates of the stand-in's training images, (1437, d)."""
    return functools.cache(lambda d: encode(digits["train"].images, d))


def assert_parity(X: np.ndarray, max_iter: int, tol: float) -> None:
    """Ours equals scikit-learn's, started from the same k-means, after the same number of iterations."""
    ours = fitted(X, 10, max_iter=max_iter, tol=tol, seed=5)
    theirs = GaussianMixture(10, reg_covar=1e-6, random_state=5, max_iter=max_iter, tol=tol)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(X)
    assert (len(ours.log_likelihoods), ours.converged) == (theirs.n_iter_, theirs.converged_)
    np.testing.assert_allclose(ours.pi, theirs.weights_, rtol=1e-6)
    for k in range(10):  # relative to the length of the mean and the size of the matrix
        assert np.linalg.norm(ours.means[k] - theirs.means_[k]) <= 1e-6 * np.linalg.norm(theirs.means_[k])
        assert np.linalg.norm(ours.covs[k] - theirs.covariances_[k]) <= 1e-6 * np.linalg.norm(theirs.covariances_[k])
    assert ours.log_likelihoods[-1] == pytest.approx(theirs.lower_bound_, rel=1e-6)
    after = ours._mean_log_likelihood(X, ours._e_step(X))
    assert after == pytest.approx(theirs.score(X), rel=1e-6)
    assert (ours.predict(X) == theirs.predict(X)).all()


def test_e_step_by_hand():
    gmm = GMM(2, 1)  # N(0, 1) and N(2, 1), equally likely
    gmm.means, gmm.covs, gmm.pi = np.array([[0.0], [2.0]]), np.ones((2, 1, 1)), np.array([0.5, 0.5])
    near = 1 / (1 + np.exp(-2))  # e^0 against e^{-2^2 / 2}
    expected = [[near, 1 - near], [0.5, 0.5], [1 - near, near]]
    np.testing.assert_allclose(gmm._e_step(np.array([[0.0], [1.0], [2.0]])), expected, rtol=1e-14)
    gmm.means, gmm.pi = np.zeros((2, 1)), np.array([0.25, 0.75])  # where the densities are equal, the weights decide
    np.testing.assert_allclose(gmm._e_step(np.array([[-3.0], [8.0]])), [[0.25, 0.75]] * 2, rtol=1e-14)


def test_m_step_by_hand():
    gmm = GMM(2, 1)
    gmm._m_step(np.array([[0.0], [2.0], [4.0]]), np.array([[1, 0], [0.5, 0.5], [0, 1]]))
    np.testing.assert_allclose(gmm.pi, [0.5, 0.5], rtol=1e-14)
    np.testing.assert_allclose(gmm.means[:, 0], [2 / 3, 10 / 3], rtol=1e-14)
    np.testing.assert_allclose(gmm.covs[:, 0, 0], 8 / 9 + 1e-6, rtol=1e-13)


@pytest.mark.parametrize("distance", [0, 3, 20, 1e3, 1e6])
def test_covariances_equal_numpys_at_any_distance(distance):
    """Distance of the means in widths of the components; two coordinates move nearly together."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(900, 3)) + distance * rng.normal(size=(3, 3))[rng.integers(3, size=900)]
    X[:, 2] = X[:, 1] + 1e-2 * X[:, 2]
    gamma = rng.dirichlet(np.full(3, 0.1), size=900)
    nearest = ((X[:, None] - X[:3]) ** 2).sum(axis=2).argmin(axis=1)
    for responsibilities in (gamma, np.eye(3)[nearest]):
        gmm = GMM(3, 3)
        gmm._m_step(X, responsibilities)
        for k in range(3):
            expected = np.cov(X.T, aweights=responsibilities[:, k], bias=True)
            np.testing.assert_allclose(gmm.covs[k], expected + 1e-6 * np.eye(3), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("share", [0, 1e-20, 1e-14, 1e-9, 1e-3])
def test_m_step_equals_scikit_learn_for_components_with_next_to_no_samples(share):
    X = 5 + np.random.default_rng(3).normal(size=(400, 2))
    gamma = np.tile([1 - share, share], (400, 1)) / [[1, 400]]
    gmm = GMM(2, 2)
    gmm._m_step(X, gamma)
    counts, means, covs = _estimate_gaussian_parameters(X, gamma, 1e-6, "full")
    np.testing.assert_allclose(gmm.pi, counts / counts.sum(), rtol=1e-12)
    np.testing.assert_allclose(gmm.means, means, rtol=1e-12)
    np.testing.assert_allclose(gmm.covs, covs, rtol=1e-10)
    again = gmm._e_step(X)
    assert np.isfinite(again).all() and np.isfinite(gmm._mean_log_likelihood(X, again))
    assert share >= 1e-9 or again[:, 1].max() < 1e-6  # it gets no sample back


@pytest.mark.parametrize("scale", [1e3, 1e4, 1e5])
def test_the_ridge_is_all_the_width_between_two_equal_columns(scale):
    """In their difference nothing varies, however far the components lie from the centre and however wide they are."""
    rng = np.random.default_rng(0)
    column = scale * (rng.normal(size=2000) + 20 * np.repeat([-1, 1], 1000))
    gmm = fitted(np.stack([column, column], axis=1), 2)
    difference = np.array([1, -1]) / np.sqrt(2)
    for cov in gmm.covs:
        # 1e-6 of what is added to variances of scale^2, as exactly as float64 holds those
        assert abs(difference @ cov @ difference - 1e-6) < 5e-7 + 1e-15 * scale**2


@pytest.mark.parametrize("N", [1, 2, 999, 1000, 1001, 2500])  # blocks of 1,000 are shared among cores
def test_steps_equal_scipy_and_scikit_learn_for_any_number_of_samples(N):
    gmm = random_mixture(2, 10, 30)
    X = np.random.default_rng(N).normal(scale=4, size=(N, 30))
    joint = log_joint(gmm, X)
    log_density = logsumexp(joint, axis=1)
    gamma = gmm._e_step(X)
    np.testing.assert_allclose(gamma, np.exp(joint - log_density[:, None]), atol=1e-12)
    assert gmm._mean_log_likelihood(X, gamma) == pytest.approx(log_density.mean(), rel=1e-12)
    mean, cov = gmm.means[0], gmm.covs[0]
    logs = multivariate_normal(mean, cov).logpdf(X)
    np.testing.assert_allclose(log_gaussian(X, mean, cov), logs, rtol=1e-12)
    density = gmm._gaussian(X, mean, np.linalg.inv(cov), np.linalg.det(cov))
    np.testing.assert_allclose(density, np.exp(logs), rtol=1e-8)
    gmm._m_step(X, gamma)
    np.testing.assert_allclose(gmm.covs, _estimate_gaussian_parameters(X, gamma, 1e-6, "full")[2], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("d, max_iter, tol", [(2, 100, 1e-3), (10, 100, 1e-3), (50, 5, 0)])
def test_fit_equals_scikit_learn_and_stops_where_it_stops(codes, d, max_iter, tol):
    assert_parity(codes(d), max_iter, tol)


@pytest.mark.parametrize("d", [2, 10, 50])
@pytest.mark.parametrize(
    "n, max_iter, tol", [(6_000, 8, 0), pytest.param(60_000, 100, 1e-3, marks=pytest.mark.slow)], ids=["part", "all"]
)
def test_equals_scikit_learn_on_real_images(real_mnist, monkeypatch, d, n, max_iter, tol):
    monkeypatch.setenv("LAB_HOME", str(real_mnist))
    assert_parity(encode(data.load_split("train", "mnist")[0][:n], d), max_iter, tol)


def test_trace_equals_the_score_before_each_m_step():
    X = np.random.default_rng(5).normal(size=(400, 3)) * [1, 3, 5]
    trace = fitted(X, 4, max_iter=3, tol=0, seed=1).log_likelihoods
    other = GMM(4, 3)
    other._m_step(X, np.eye(4)[KMeans(4, n_init=1, random_state=1).fit(X).labels_])
    for score in trace:
        assert score == pytest.approx(logsumexp(log_joint(other, X), axis=1).mean(), rel=1e-12)
        other._m_step(X, other._e_step(X))


@pytest.mark.parametrize("d, K", [(2, 10), (10, 1), (20, 10), (200, 5)])
def test_likelihood_never_falls_and_parameters_stay_those_of_a_mixture(codes, d, K):
    with np.errstate(all="raise", under="ignore"):
        gmm = fitted(codes(d), K, max_iter=15, tol=0)
        gamma = gmm._e_step(codes(d) * 3)  # farther out than any sample of the fit
    assert (len(gmm.log_likelihoods), gmm.converged) == (15, False)
    assert np.diff(gmm.log_likelihoods).min() >= -1e-11 * np.abs(gmm.log_likelihoods).max()  # as exactly as it is held
    assert gamma.shape == (len(codes(d)), K)
    assert gamma.min() >= 0
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-12)
    assert gmm.pi.sum() == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(gmm.covs, gmm.covs.transpose(0, 2, 1), rtol=1e-12, atol=1e-9)
    assert np.linalg.eigvalsh(gmm.covs).min() >= 1e-7


def test_same_seed_same_mixture_and_trace_and_the_input_is_left_alone(codes):
    X = codes(50).copy()
    one, again, other = (fitted(X, 10, max_iter=3, tol=0, seed=seed) for seed in (1, 1, 2))
    one.fit(X, max_iter=3, tol=0, seed=1)  # a second fit starts anew
    for name in ("means", "covs", "log_likelihoods"):
        assert np.array_equal(getattr(one, name), getattr(again, name)), name
    assert not np.allclose(np.sort(one.pi), np.sort(other.pi))
    assert np.array_equal(X, codes(50))


def test_several_threads_may_use_a_mixture_at_once():
    gmm = random_mixture(3, 10, 30)
    X = np.random.default_rng(4).normal(size=(3000, 30))
    expected = gmm._e_step(X)
    with ThreadPoolExecutor(4) as pool:
        for gamma in pool.map(gmm._e_step, [X] * 8):
            assert np.array_equal(gamma, expected)


def test_a_step_that_yields_nan_ends_the_fit(monkeypatch):
    def m_step(self, X, gamma):
        self.covs = np.full_like(self.covs, np.nan)

    monkeypatch.setattr(GMM, "_m_step", m_step)
    gmm = fitted(np.random.default_rng(0).normal(size=(60, 2)), 3)
    assert len(gmm.log_likelihoods) == 1 and not gmm.converged


@pytest.mark.parametrize("sigmas", [1e3, 1e6])
def test_points_far_from_every_component_go_to_the_least_far(sigmas):
    gmm = GMM(2, 2)
    gmm.means, gmm.covs = np.array([[-1.0, 0.0], [1.0, 0.0]]), np.stack([np.eye(2)] * 2)
    with np.errstate(all="raise", under="ignore"):
        gamma = gmm._e_step(np.array([[-sigmas, 0], [sigmas, 0], [0, sigmas]]))
    np.testing.assert_allclose(gamma, [[1, 0], [0, 1], [0.5, 0.5]], atol=1e-3)
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-12)


def test_a_weight_of_exactly_zero_takes_no_sample():
    gmm = random_mixture(11, 3, 2)
    gmm.pi = np.array([0.4, 0.0, 0.6])
    X = np.random.default_rng(12).normal(size=(100, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gamma = gmm._e_step(X)
        assert np.isfinite(gmm._mean_log_likelihood(X, gamma))
    assert (gamma[:, 1] == 0).all()
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_few_points_for_many_components():
    corners = np.repeat([[0.0, 0.0], [5.0, 5.0], [9.0, 0.0]], 20, axis=0)
    for X, K in ((corners, 5), (np.random.default_rng(13).normal(size=(12, 2)), 12)):
        gmm = fitted(X, K)
        for values in (gmm.pi, gmm.means, gmm.covs, gmm.log_likelihoods):
            assert np.isfinite(values).all()
        pairs = {(*x, label) for x, label in zip(X, gmm.predict(X), strict=True)}
        assert len(pairs) == len({label for *_, label in pairs}) == len(np.unique(X, axis=0))  # a label for each point


def test_float32_and_integers_are_taken_as_their_float64_values():
    X = np.random.default_rng(15).integers(0, 256, size=(200, 3))
    expected = fitted(X.astype(np.float64), 3, max_iter=5)
    for dtype in (np.float32, np.uint8):
        gmm = fitted(X.astype(dtype), 3, max_iter=5)
        for name in ("means", "covs", "pi"):
            assert getattr(gmm, name).dtype == np.float64
            assert np.array_equal(getattr(gmm, name), getattr(expected, name))
        assert np.array_equal(gmm.predict(X.astype(dtype)), expected.predict(X))


def test_wrong_shapes_nan_and_infinity_are_rejected():
    gmm, pca = GMM(2, 3), PCA(3)
    pca.fit(np.eye(3))
    bad = [np.zeros(shape) for shape in ((20, 4), (20, 2), (20,), (3,), (5, 2, 2), (9, 1, 28, 28), ())]
    bad += [np.where(np.eye(3), value, 1.0) for value in (np.nan, np.inf)]
    for X in bad:
        for given in (gmm.fit, gmm.predict, pca.transform, PCA(5 if X.shape == (20, 4) else 3).fit):
            with pytest.raises(ValueError, match="infs or NaNs" if X.shape == (3, 3) else r"shape \(N, [35]") as error:
                given(X)
            assert X.shape == (3, 3) or str(X.shape) in str(error.value)


def test_predict_gives_one_whole_number_a_sample():
    for N in (0, 7):
        labels = random_mixture(16, 4, 3).predict(np.zeros((N, 3)))
        assert (labels.shape, labels.dtype) == ((N,), np.int64)
