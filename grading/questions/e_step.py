"""1.1 E-step: responsibilities, against densities by Cholesky factors."""

from collections.abc import Callable

import numpy as np
import scipy.linalg
from scipy.special import logsumexp

from grading.questions.common import Arrays, Question, cases, changed, close, comparison, covariances, get, weights

GAMMA_TOLERANCE = 1e-3  # absolute; float32 densities reach 1e-4
Many = list[np.ndarray]  # one array per case


def make_inputs(rng: np.random.Generator) -> Arrays:
    """By hand: 3 points, 2 clusters; then two ordinary mixtures; last, points so far away that densities underflow.

    1,030 points are more than one block, for code that works in blocks.
    """
    arrays = {
        "x_0": np.array([[0.0], [1.0], [4.0]]),
        "means_0": np.array([[0.0], [4.0]]),
        "covs_0": np.array([[[4.0]], [[4.0]]]),
        "pi_0": np.array([1 / 3, 2 / 3]),
    }
    for i, (n, k, d, scale) in enumerate([(1030, 4, 3, 1.0), (80, 10, 8, 20.0), (12, 3, 2, 1.0)], start=1):
        means = rng.normal(size=(k, d)) * scale
        covs = covariances(rng, k, d, scale)
        x = means[rng.integers(k, size=n)] + scale * rng.normal(size=(n, d))
        if i == 3:
            x[n // 2 :] *= 300
        arrays |= {f"x_{i}": x, f"means_{i}": means, f"covs_{i}": covs, f"pi_{i}": weights(rng, k)}
    return arrays


def log_densities(inputs: Arrays, i: int) -> np.ndarray:
    """log N(x_n | mean_k, cov_k) of case i: (N, K)."""
    x, means, covs = (inputs[f"{name}_{i}"] for name in ("x", "means", "covs"))
    columns = []
    for mean, cov in zip(means, covs, strict=True):
        factor = np.linalg.cholesky(cov)
        white = scipy.linalg.solve_triangular(factor, (x - mean).T, lower=True)
        volume = 2 * np.log(np.diag(factor)).sum() + len(mean) * np.log(2 * np.pi)
        columns.append(-0.5 * ((white**2).sum(axis=0) + volume))
    return np.stack(columns, axis=1)


def softmax(log_joint: np.ndarray, axis: int = 1) -> np.ndarray:
    return np.exp(log_joint - logsumexp(log_joint, axis=axis, keepdims=True))


def judge(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    far = cases(inputs, "x")[-1]
    ordinary = range(far)
    densities = [log_densities(inputs, i) for i in range(far + 1)]
    joints = [logs + np.log(inputs[f"pi_{i}"]) for i, logs in enumerate(densities)]
    want = [softmax(joint) for joint in joints]
    got = [get(answers, f"gamma_{i}") for i in range(far + 1)]

    def matches(wanted: Many, found: Many = got) -> bool:
        return all(close(found[i], wanted[i], GAMMA_TOLERANCE) for i in ordinary)

    for i in ordinary:
        n, k = want[i].shape
        if got[i].size == 0:
            return 0, "_e_step did not return an array of numbers", "return gamma, an array of shape (N, K)"
        if got[i].shape != (n, k):
            message = f"gamma has shape {got[i].shape} instead of (N, K) = {(n, k)}"
            return 0, message, "one row per sample, one column per component"
        if not np.isfinite(got[i]).all():
            message = f"gamma holds NaN or infinity for {n} ordinary points, K = {k}, D = {inputs[f'x_{i}'].shape[1]}"
            return 0, message, "work with logarithms of the densities, and subtract each row's maximum before np.exp"
    if not matches(want):
        return mistake(inputs, got, want, densities, joints, matches)
    near = np.isfinite(got[far]).all(axis=1) if got[far].shape == want[far].shape else np.zeros(0, bool)
    within = np.arange(len(want[far])) < len(want[far]) // 2  # the near points of that case
    if len(near) and not close(got[far][within], want[far][within], GAMMA_TOLERANCE):
        message = "a point's gamma is wrong if another point is far away"
        return 0, message, "each row of gamma depends on its own point only; subtract each row's own maximum"
    if changed(inputs, answers):
        message = "gamma is right, but _e_step changes X in place: the M-step would get other data"
        return 5, message, "work on a copy of X"
    if not (len(near) and close(got[far], want[far], GAMMA_TOLERANCE)):
        message = "right on ordinary data; 300 times further away, all densities underflow and gamma is 0/0"
        return 10, f"{message} (costs no points; logarithms would avoid it)", ""
    return 10, "gamma is right", ""


def mistake(
    inputs: Arrays, got: Many, want: Many, densities: Many, joints: Many, matches: Callable[..., bool]
) -> tuple[float, str, str]:
    """Name the mistake if it is a known one."""
    given = "x = 0, 1, 4; means = 0, 4; variances = 4, 4; pi = 1/3, 2/3"
    example = comparison(given, got[0], want[0])
    # Without the far points, for which there may be no gamma.
    if matches(want, [gamma / gamma.sum(axis=1, keepdims=True) for gamma in got[:-1]]):
        return 5, f"the rows of gamma do not sum to 1{example}", "divide each row by its sum"
    if matches([softmax(joint, axis=0) for joint in joints]):
        message = f"gamma is normalised along the wrong axis: its columns sum to 1, not its rows{example}"
        return 5, message, "divide by gamma.sum(axis=1, keepdims=True)"
    if matches([softmax(logs) for logs in densities]):
        return 5, f"the mixing weights pi are left out{example}", "multiply each density by pi_k before normalising"
    if matches(joints) or matches([np.log(gamma) for gamma in want]):
        return 0, f"gamma holds logarithms{example}", "return np.exp of the normalised logarithms"
    if not close(got[0], want[0], GAMMA_TOLERANCE):
        return 0, f"gamma is wrong{example}", "gamma_nk = pi_k N(x_n | k) / sum_j pi_j N(x_n | j)"
    i = 1 if not close(got[1], want[1], GAMMA_TOLERANCE) else 2
    row = int(np.abs(got[i] - want[i]).max(axis=1).argmax())
    d = inputs[f"x_{i}"].shape[1]
    lines = comparison(f"{len(got[i])} points, D = {d}, K = {got[i].shape[1]}; row {row}", got[i][row], want[i][row])
    hint = "it is right in one dimension: check the inverse, the determinant and the factor (2 pi)^D of the density"
    return 0, f"gamma is right on the example in one dimension, but wrong with D = {d}{lines}", hint


QUESTION = Question("1.1 E-step", 10, make_inputs, judge)
