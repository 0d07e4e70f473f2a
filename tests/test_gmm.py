"""The Gaussian mixture against scikit-learn, scipy and arithmetic by hand, and what must hold on any data."""

import multiprocessing
import sys
import time
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA as ReferencePCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.mixture._gaussian_mixture import _estimate_gaussian_parameters

from hi_mnist import data
from submission import GMM, log_gaussian


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


def codes(images: np.ndarray, d: int) -> np.ndarray:
    rows = images.reshape(len(images), -1).astype(np.float64)
    return ReferencePCA(d, svd_solver="covariance_eigh").fit_transform(rows)


def all_finite(gmm: GMM) -> bool:
    return all(np.isfinite(a).all() for a in (gmm.pi, gmm.means, gmm.covs, np.array(gmm.log_likelihoods)))


def assert_parity(X: np.ndarray, max_iter: int, tol: float) -> None:
    """Ours equals scikit-learn's, started from the same k-means, after the same number of iterations."""
    ours = GMM(10, X.shape[1])
    ours.fit(X, max_iter=max_iter, tol=tol, seed=5)
    theirs = GaussianMixture(10, reg_covar=1e-6, random_state=5, max_iter=max_iter, tol=tol)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(X)
    assert len(ours.log_likelihoods) == theirs.n_iter_
    assert ours.converged == theirs.converged_
    np.testing.assert_allclose(ours.pi, theirs.weights_, rtol=1e-6)
    for k in range(10):  # relative to the length of the mean and the size of the matrix
        assert np.linalg.norm(ours.means[k] - theirs.means_[k]) <= 1e-6 * np.linalg.norm(theirs.means_[k])
        assert np.linalg.norm(ours.covs[k] - theirs.covariances_[k]) <= 1e-6 * np.linalg.norm(theirs.covariances_[k])
    assert ours.log_likelihoods[-1] == pytest.approx(theirs.lower_bound_, rel=1e-6)
    after = ours._mean_log_likelihood(X, ours._e_step(X))
    assert after == pytest.approx(theirs.score(X), rel=1e-6)
    assert (ours.predict(X) == theirs.predict(X)).all()


# --------------------------------------------------------------------------- by hand


def test_e_step_by_hand():
    gmm = GMM(2, 1)  # N(0, 1) and N(2, 1), equally likely
    gmm.means, gmm.covs, gmm.pi = np.array([[0.0], [2.0]]), np.ones((2, 1, 1)), np.array([0.5, 0.5])
    gamma = gmm._e_step(np.array([[0.0], [1.0], [2.0]]))
    near = 1 / (1 + np.exp(-2))  # e^0 against e^{-2^2 / 2}
    np.testing.assert_allclose(gamma, [[near, 1 - near], [0.5, 0.5], [1 - near, near]], rtol=1e-14)


def test_e_step_weighs_by_pi_by_hand():
    gmm = GMM(2, 1)
    gmm.means, gmm.covs, gmm.pi = np.zeros((2, 1)), np.ones((2, 1, 1)), np.array([0.25, 0.75])
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


@pytest.mark.parametrize("scale", [1e3, 1e4, 1e5])
def test_the_ridge_is_all_the_width_between_two_equal_columns(scale):
    """In their difference nothing varies, however far the components lie from the centre and however wide they are."""
    rng = np.random.default_rng(0)
    column = scale * (rng.normal(size=2000) + 20 * np.repeat([-1, 1], 1000))
    gmm = GMM(2, 2)
    gmm.fit(np.stack([column, column], axis=1), seed=0)
    difference = np.array([1, -1]) / np.sqrt(2)
    for cov in gmm.covs:
        # 1e-6 of what is added to variances of scale^2, as exactly as float64 holds those
        assert abs(difference @ cov @ difference - 1e-6) < 5e-7 + 1e-15 * scale**2


def test_densities_equal_scipy():
    gmm = random_mixture(0, 1, 4)
    X = np.random.default_rng(1).normal(scale=4, size=(50, 4))
    mean, cov = gmm.means[0], gmm.covs[0]
    reference = multivariate_normal(mean, cov)
    np.testing.assert_allclose(log_gaussian(X, mean, cov), reference.logpdf(X), rtol=1e-12)
    density = gmm._gaussian(X, mean, np.linalg.inv(cov), np.linalg.det(cov))
    np.testing.assert_allclose(density, reference.pdf(X), rtol=1e-10)


# --------------------------------------------------------------------------- parity


@pytest.mark.parametrize("d", [2, 10, 50])
def test_equals_scikit_learn_after_equal_iterations(digits, d):
    assert_parity(codes(digits["train"].images, d), max_iter=12, tol=0)


@pytest.mark.parametrize("d", [2, 10])
def test_stops_where_scikit_learn_stops(digits, d):
    assert_parity(codes(digits["train"].images, d), max_iter=100, tol=1e-3)


@pytest.mark.parametrize("d", [2, 10, 50])
def test_equals_scikit_learn_on_real_images(real_mnist, monkeypatch, d):
    monkeypatch.setenv("LAB_HOME", str(real_mnist))
    assert_parity(codes(data.load_split("train", "mnist")[0][:6000], d), max_iter=8, tol=0)


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 10, 50])
def test_equals_scikit_learn_on_all_real_images_until_the_stop(real_mnist, monkeypatch, d):
    monkeypatch.setenv("LAB_HOME", str(real_mnist))
    assert_parity(codes(data.load_split("train", "mnist")[0], d), max_iter=100, tol=1e-3)


@pytest.mark.parametrize("N", [1, 2, 1023, 1024, 1025, 3000])
def test_responsibilities_equal_scipy_for_any_number_of_samples(N):
    gmm = random_mixture(2, 4, 3)
    X = np.random.default_rng(N).normal(scale=4, size=(N, 3))
    joint = log_joint(gmm, X)
    np.testing.assert_allclose(gmm._e_step(X), np.exp(joint - logsumexp(joint, axis=1, keepdims=True)), atol=1e-12)


@pytest.mark.parametrize("K, D", [(1, 1), (3, 2), (10, 7)])
def test_mean_log_likelihood_equals_scipy(K, D):
    gmm = random_mixture(3, K, D)
    X = np.random.default_rng(4).normal(scale=4, size=(2000, D))
    expected = logsumexp(log_joint(gmm, X), axis=1).mean()
    assert gmm._mean_log_likelihood(X, gmm._e_step(X)) == pytest.approx(expected, rel=1e-12)


def test_trace_equals_the_score_before_each_m_step():
    X = np.random.default_rng(5).normal(size=(400, 3)) * [1, 3, 5]
    for n in (1, 2, 3):
        gmm = GMM(4, 3)
        gmm.fit(X, max_iter=n, tol=0, seed=1)
        labels = KMeans(4, n_init=1, random_state=1).fit(X).labels_
        other = GMM(4, 3)
        other._m_step(X, np.eye(4)[labels])
        for _ in range(n - 1):
            other._m_step(X, other._e_step(X))
        assert len(gmm.log_likelihoods) == n
        assert gmm.log_likelihoods[-1] == pytest.approx(logsumexp(log_joint(other, X), axis=1).mean(), rel=1e-12)


# --------------------------------------------------------------------------- invariants


def test_responsibilities_sum_to_one(digits):
    X = codes(digits["train"].images, 10)
    gmm = GMM(10, 10)
    gmm.fit(X, seed=0)
    gamma = gmm._e_step(X)
    assert gamma.shape == (len(X), 10)
    assert (gamma >= 0).all()
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-12)
    assert gmm.pi.sum() == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("d, K", [(2, 10), (10, 10), (10, 3), (20, 5)])
def test_likelihood_never_falls(digits, d, K):
    gmm = GMM(K, d)
    gmm.fit(codes(digits["train"].images, d), max_iter=40, tol=0, seed=0)
    assert len(gmm.log_likelihoods) == 40
    assert np.diff(gmm.log_likelihoods).min() >= -1e-9


def test_order_of_samples_does_not_matter():
    gmm = random_mixture(6, 5, 4)
    rng = np.random.default_rng(7)
    X = rng.normal(scale=3, size=(2500, 4))
    order = rng.permutation(len(X))
    np.testing.assert_allclose(gmm._e_step(X)[order], gmm._e_step(X[order]), atol=1e-14)


def test_covariances_are_symmetric_and_positive_definite(digits):
    gmm = GMM(10, 20)
    gmm.fit(codes(digits["train"].images, 20), seed=0)
    np.testing.assert_allclose(gmm.covs, gmm.covs.transpose(0, 2, 1), rtol=1e-12, atol=1e-9)
    assert np.linalg.eigvalsh(gmm.covs).min() >= 1e-7


def test_same_seed_same_mixture_and_other_seed_another(digits):
    X = codes(digits["train"].images, 5)
    fitted = []
    for seed in (1, 1, 2):
        gmm = GMM(10, 5)
        gmm.fit(X, max_iter=5, seed=seed)
        fitted.append(gmm)
    assert np.array_equal(fitted[0].means, fitted[1].means)
    assert np.array_equal(fitted[0].covs, fitted[1].covs)
    assert not np.allclose(np.sort(fitted[0].pi), np.sort(fitted[2].pi))


def test_fit_leaves_its_input_alone():
    X = np.random.default_rng(8).normal(size=(100, 3))
    before = X.copy()
    GMM(2, 3).fit(X, seed=0)
    assert np.array_equal(X, before)


def test_parallel_work_may_share_its_own_work():
    """A kept thread that waits for another would wait for ever where there are no more."""

    def outer(items):
        time.sleep(0.05)
        return sum(in_parallel(sum, items, 10**9))

    assert sum(in_parallel(outer, range(8), 10**9)) == 28


def test_a_step_that_yields_nan_ends_the_fit(monkeypatch):
    def m_step(self, X, gamma):
        self.covs = np.full_like(self.covs, np.nan)

    X = np.random.default_rng(0).normal(size=(60, 2))
    monkeypatch.setattr(GMM, "_m_step", m_step)
    gmm = GMM(3, 2)
    gmm.fit(X, seed=0)
    assert len(gmm.log_likelihoods) == 1 and not gmm.converged


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="nothing is forked here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    """It would wait for ever for those of its parent."""

    def work(items):
        time.sleep(0.05)  # both threads are needed
        return sum(items)

    jobs = (work, range(8), 10**9)
    assert sum(in_parallel(*jobs)) == 28
    child = multiprocessing.get_context("fork").Process(target=in_parallel, args=jobs)
    child.start()
    child.join(20)
    assert child.exitcode == 0, child.kill()


# --------------------------------------------------------------------------- the stop rule


def test_stops_at_the_first_gain_below_tol(digits):
    gmm = GMM(10, 10)
    gmm.fit(codes(digits["train"].images, 10), max_iter=500, seed=0)
    gains = np.diff(gmm.log_likelihoods)
    assert gmm.converged
    assert gains[-1] < 1e-3
    assert (gains[:-1] >= 1e-3).all()


@pytest.mark.parametrize("max_iter", [1, 2, 5])
def test_max_iter_bounds_the_iterations(digits, max_iter):
    gmm = GMM(10, 10)
    gmm.fit(codes(digits["train"].images, 10), max_iter=max_iter, seed=0)
    assert len(gmm.log_likelihoods) == max_iter
    assert not gmm.converged


def test_fitting_again_starts_a_new_trace():
    X = np.random.default_rng(9).normal(size=(200, 2))
    gmm = GMM(2, 2)
    gmm.fit(X, max_iter=7, tol=0, seed=0)
    first = gmm.log_likelihoods
    gmm.fit(X, max_iter=7, tol=0, seed=0)
    assert gmm.log_likelihoods == first


# --------------------------------------------------------------------------- numerically hard data


@pytest.mark.parametrize("d", [2, 50, 120, 200])
def test_no_nan_for_any_embedding_of_pixels(digits, d):
    X = codes(digits["train"].images, d)
    gmm = GMM(10, d)
    with np.errstate(all="raise", under="ignore"):
        gmm.fit(X, max_iter=10, seed=0)
        gamma = gmm._e_step(codes(digits["test"].images, d) * 3)
    assert all_finite(gmm)
    assert np.isfinite(gamma).all()
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("sigmas", [1e3, 1e6])
def test_points_far_from_every_component_go_to_the_least_far(sigmas):
    gmm = GMM(2, 2)
    gmm.means, gmm.covs = np.array([[-1.0, 0.0], [1.0, 0.0]]), np.stack([np.eye(2)] * 2)
    with np.errstate(all="raise", under="ignore"):
        gamma = gmm._e_step(np.array([[-sigmas, 0], [sigmas, 0], [0, sigmas]]))
    np.testing.assert_allclose(gamma, [[1, 0], [0, 1], [0.5, 0.5]], atol=1e-3)
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-12)


def test_a_component_that_lost_all_samples_does_no_harm():
    X = np.random.default_rng(10).normal(size=(50, 3))
    gamma = np.zeros((50, 3))
    gamma[:25, 0], gamma[25:, 2] = 1, 1
    gmm = GMM(3, 3)
    gmm._m_step(X, gamma)
    assert all_finite(gmm)
    assert gmm.pi[1] < 1e-12
    again = gmm._e_step(X)
    assert np.isfinite(again).all()
    assert again[:, 1].max() < 1e-6
    assert np.isfinite(gmm._mean_log_likelihood(X, again))


def test_a_weight_of_exactly_zero_takes_no_sample():
    gmm = random_mixture(11, 3, 2)
    gmm.pi = np.array([0.4, 0.0, 0.6])
    X = np.random.default_rng(12).normal(size=(100, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gamma = gmm._e_step(X)
    assert (gamma[:, 1] == 0).all()
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-12)
    assert np.isfinite(gmm._mean_log_likelihood(X, gamma))


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_duplicated_points_and_fewer_of_them_than_components():
    X = np.repeat([[0.0, 0.0], [5.0, 5.0], [9.0, 0.0]], 20, axis=0)
    gmm = GMM(5, 2)
    gmm.fit(X, seed=0)
    assert all_finite(gmm)
    labels = gmm.predict(X)
    assert len(set(labels)) == 3
    assert all(len(set(labels[i : i + 20])) == 1 for i in (0, 20, 40))


def test_as_many_components_as_points():
    X = np.random.default_rng(13).normal(size=(12, 2))
    gmm = GMM(12, 2)
    gmm.fit(X, seed=0)
    assert all_finite(gmm)
    assert sorted(gmm.predict(X)) == list(range(12))


def test_one_component_is_the_normal_distribution_of_the_data():
    X = np.random.default_rng(14).normal(size=(300, 4)) @ np.diag([1, 2, 3, 4]) + 7
    gmm = GMM(1, 4)
    gmm.fit(X, seed=0)
    assert gmm.pi == pytest.approx([1])
    np.testing.assert_allclose(gmm.means[0], X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(gmm.covs[0], np.cov(X.T, bias=True) + 1e-6 * np.eye(4), rtol=1e-10, atol=1e-10)
    assert gmm.converged
    assert (gmm.predict(X) == 0).all()


# --------------------------------------------------------------------------- input and output


def test_float32_and_integers_are_taken_as_their_float64_values():
    X = np.random.default_rng(15).integers(0, 256, size=(200, 3))
    fitted = []
    for dtype in (np.float64, np.float32, np.uint8):
        gmm = GMM(3, 3)
        gmm.fit(X.astype(dtype), max_iter=5, seed=0)
        assert gmm.means.dtype == gmm.covs.dtype == gmm.pi.dtype == np.float64
        assert np.array_equal(gmm.predict(X.astype(dtype)), gmm.predict(X))
        fitted.append(gmm)
    for gmm in fitted[1:]:
        assert np.array_equal(gmm.means, fitted[0].means)
        assert np.array_equal(gmm.covs, fitted[0].covs)


@pytest.mark.parametrize("shape", [(20, 4), (20, 2), (20,), (5, 2, 2), ()])
def test_wrong_shapes_are_rejected(shape):
    with pytest.raises(ValueError, match="shape"):
        GMM(2, 3).fit(np.zeros(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_rejected(bad):
    X = np.ones((20, 3))
    X[3, 1] = bad
    with pytest.raises(ValueError):
        GMM(2, 3).fit(X)


def test_predict_gives_one_whole_number_a_sample():
    labels = random_mixture(16, 4, 3).predict(np.zeros((7, 3)))
    assert labels.shape == (7,)
    assert labels.dtype == np.int64


@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda a: np.repeat(a, 2, axis=0)[::2], lambda a: a[::-1].copy()[::-1], lambda a: a.T.copy().T],
    ids=["fortran", "strided", "reversed", "transposed"],
)
def test_saved_arrays_come_back_whatever_their_memory_layout(tmp_path, layout):
    gmm = random_mixture(17, 4, 3)
    want = gmm.means.copy(), gmm.covs.copy(), gmm.pi.copy()
    gmm.means, gmm.covs, gmm.pi = (layout(a) for a in (gmm.means, gmm.covs, gmm.pi))
    gmm.save_pretrained(tmp_path / "gmm")
    back = GMM.from_pretrained(tmp_path / "gmm")
    assert (back.n_components, back.data_dim) == (4, 3)
    on_disk = load_file(tmp_path / "gmm" / "gmm.safetensors")
    for name, expected in zip(("means", "covs", "pi"), want, strict=True):
        assert np.array_equal(getattr(back, name), expected)
        assert np.array_equal(on_disk[name], expected)
        assert on_disk[name].dtype == np.float64


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_who_may_read_the_folder_may_read_the_arrays(tmp_path):
    GMM(2, 2).save_pretrained(tmp_path)
    modes = {(tmp_path / name).stat().st_mode for name in ("config.json", "gmm.safetensors")}
    assert len(modes) == 1


def test_a_saved_mixture_predicts_the_same(tmp_path, digits):
    X = codes(digits["train"].images, 10)
    gmm = GMM(10, 10)
    gmm.fit(X, max_iter=5, seed=0)
    gmm.save_pretrained(tmp_path)
    assert np.array_equal(GMM.from_pretrained(tmp_path)._e_step(X), gmm._e_step(X))
