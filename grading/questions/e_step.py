"""1.1 E-step: responsibilities, against SciPy's densities."""

import numpy as np
from scipy.special import logsumexp

from grading.questions import common
from grading.questions.common import Arrays, Question, cases, changed, close, comparison, get, recognised

GAMMA_TOLERANCE = 1e-3  # absolute; float32 densities reach 1e-4
Many = list[np.ndarray]  # one array per case


def make_inputs(rng: np.random.Generator) -> Arrays:
    """By hand: 3 points, 2 clusters; then two ordinary mixtures; last, points so far away that densities underflow."""
    arrays = {"x_0": np.array([[0.0], [1.0], [4.0]]), "means_0": np.array([[0.0], [4.0]])}
    arrays |= {"covs_0": np.full((2, 1, 1), 4.0), "pi_0": np.array([1 / 3, 2 / 3])}
    # 1,030 points are more than one block, for code that works in blocks.
    for i, (n, k, d, scale) in enumerate([(1030, 4, 3, 1.0), (80, 10, 8, 20.0), (12, 3, 2, 1.0)], start=1):
        means = rng.normal(size=(k, d)) * scale
        covs = common.covariances(rng, k, d, scale)
        x = means[rng.integers(k, size=n)] + scale * rng.normal(size=(n, d))
        if i == 3:
            x[n // 2 :] *= 300
        arrays |= {f"x_{i}": x, f"means_{i}": means, f"covs_{i}": covs, f"pi_{i}": common.weights(rng, k)}
    return arrays


def log_densities(inputs: Arrays, i: int) -> np.ndarray:
    """log N(x_n | mean_k, cov_k) of case i: (N, K)."""
    from scipy.stats import multivariate_normal  # slow to import

    x, means, covs = (inputs[f"{name}_{i}"] for name in ("x", "means", "covs"))
    return np.stack([multivariate_normal(*pair).logpdf(x) for pair in zip(means, covs, strict=True)], axis=1)


def softmax(log_joint: np.ndarray, axis: int = 1) -> np.ndarray:
    return np.exp(log_joint - logsumexp(log_joint, axis=axis, keepdims=True))


def slips(inputs: Arrays, i: int) -> list[tuple[np.ndarray, float, str, str]]:
    """What known mistakes answer in case i, each with its points, cause and hint."""
    x, means, covs, pi = (inputs[f"{name}_{i}"] for name in ("x", "means", "covs", "pi"))
    away, log_pi, inverses, axes = x[:, None] - means, np.log(pi), np.linalg.inv(covs), np.eye(x.shape[1])

    def logs(matrices: np.ndarray, factor: float = -0.5, power: float = -0.5, of: np.ndarray = covs) -> np.ndarray:
        squares = np.einsum("nki,kij,nkj->nk", away, matrices, away)
        return log_pi + factor * squares + power * np.linalg.slogdet(of)[1]

    right, best = logs(inverses), np.eye(len(pi))[logs(inverses).argmax(axis=1)]
    below = right - right.max(axis=1, keepdims=True)
    shares, of_logs = below / below.sum(axis=1, keepdims=True), "gamma is made of logarithms"
    axis = "gamma is normalised along the wrong axis: its columns sum to 1, not its rows"
    inverse, root = "the density needs np.linalg.inv(self.covs[k])", "divide by the root of np.linalg.det(self.covs[k])"
    wrong = [
        (logs(covs), "the covariance is not inverted in the density", inverse),
        (logs(covs, power=0.5), "the covariance and its inverse are exchanged in the density", inverse),
        (logs(axes + 0 * covs, power=0), "the covariances are left out of the density", inverse),
        (logs(np.linalg.inv(covs * axes), of=covs * axes), "only the variances are used", "use the full covariances"),
        (logs(inverses, power=0), "the determinant is left out of the density", root),
        (logs(inverses, power=0.5), "the determinant of the inverse is used in the density", root),
        (logs(inverses, power=-1), "the density is divided by the determinant, not by its root", root),
        (logs(inverses, factor=-1), "the factor 1/2 is missing in the exponent", "exp(-0.5 * ...)"),
        (logs(inverses, factor=0.5), "the minus sign is missing in the exponent", "exp(-0.5 * ...)"),
        (right - log_pi + pi, "pi is added to log densities", "log p = log pi_k + log N_k: add np.log(self.pi)"),
    ]
    return [
        (softmax(right, axis=0), 5, axis, "divide by gamma.sum(axis=1, keepdims=True)"),
        (softmax(right - log_pi), 5, "the mixing weights pi are left out", "multiply each density by pi_k first"),
        (np.log(softmax(right)), 0, "gamma holds logarithms", "return np.exp of the normalised logarithms"),
        (log_densities(inputs, i) + log_pi, 0, "gamma holds logarithms", "normalise them, and return np.exp of them"),
        (shares, 0, of_logs, "np.exp comes before the division"),
        (best, 0, "gamma is rounded to 0 and 1, as in k-means", "return the probabilities, not the best component"),
        *((softmax(known), 0, cause, hint) for known, cause, hint in wrong),
    ]


def judge(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    """All or half of the points; the example by hand is judged first, so that its cause is the one that is named."""
    far = cases(inputs, "x")[-1]
    want = [softmax(log_densities(inputs, i) + np.log(inputs[f"pi_{i}"])) for i in range(far + 1)]
    got = [get(answers, f"gamma_{i}") for i in range(far + 1)]
    moved = changed(inputs, answers)
    for i in range(far):
        if not close(got[i], want[i], GAMMA_TOLERANCE):
            return mistake(inputs, got[:far], want[:far], i, moved)
    near = np.isfinite(got[far]).all(axis=1) if got[far].shape == want[far].shape else np.zeros(0, bool)
    within = np.arange(len(want[far])) < len(want[far]) // 2  # the near points of that case
    if len(near) and not close(got[far][within], want[far][within], GAMMA_TOLERANCE):
        hint = "each row of gamma depends on its own point only; subtract each row's own maximum"
        return 0, "a point's gamma is wrong if another point is far away", hint
    if moved:
        return 5, "gamma is right, but _e_step changes X in place: the M-step would get other data", "work on a copy"
    if not (len(near) and close(got[far], want[far], GAMMA_TOLERANCE)):
        told = "right on ordinary data; 300 times further away, all densities underflow and gamma is 0/0"
        return 10, f"{told} (costs no points; logarithms would avoid it)", ""
    return 10, "gamma is right", ""


def mistake(inputs: Arrays, got: Many, want: Many, i: int, moved: bool) -> tuple[float, str, str]:
    """Points, cause and hint if case i is the first wrong one; ``moved``: X was changed in place."""
    n, k = want[i].shape
    size = f"N = {n}, D = {inputs[f'x_{i}'].shape[1]}, K = {k}"
    if got[i].size == 0:
        return 0, "_e_step did not return an array of numbers", "return gamma and nothing else: an array (N, K)"
    if got[i].shape != (n, k):
        hint = "one row per sample, one column per component" + (": transpose" if got[i].shape == (k, n) else "")
        return 0, f"gamma has shape {got[i].shape} instead of (N, K) = {(n, k)}", hint
    example = comparison("x = 0, 1, 4; means = 0, 4; variances = 4, 4; pi = 1/3, 2/3", got[0], want[0])
    if i > 0:
        row = int(np.nan_to_num(np.abs(got[i] - want[i]), nan=np.inf).max(axis=1).argmax())
        example = comparison(f"{size}; row {row}", got[i][row], want[i][row])
    finite = all(np.isfinite(gamma).all() for gamma in got)
    scaled = [gamma / gamma.sum(axis=1, keepdims=True) if gamma.ndim == 2 else gamma for gamma in got]
    if all(close(*pair, GAMMA_TOLERANCE) for pair in zip(scaled, want, strict=True)):
        return 5, f"the rows of gamma do not sum to 1{example}", "divide each row by its sum"
    known = [slips(inputs, j) for j in range(len(want))]
    for answered in (got, scaled):  # normalised by us, another mistake shows
        found = recognised(answered, known, [GAMMA_TOLERANCE] * len(want))
        if found and np.isfinite(answered[i]).any():
            points, cause, hint = found[0]
            return points * finite * (answered is got), cause + example, hint
    if moved:
        return 0, f"gamma is wrong, and X is changed in place{example}", "write diff = X - mean, not diff -= mean"
    if not np.isfinite(got[i]).all():
        hint = "work with logarithms of the densities, and subtract each row's maximum before np.exp"
        return 0, f"gamma holds NaN or infinity for ordinary points, {size}{example}", hint
    if i == 0:
        return 0, f"gamma is wrong{example}", "gamma_nk = pi_k N(x_n | k) / sum_j pi_j N(x_n | j)"
    hint = "check the inverse, the determinant and the factor (2 pi)^D of the density, and all axes"
    return 0, f"gamma is right on the example in one dimension, but wrong for {size}{example}", hint


QUESTION = Question("1.1 E-step", 10, make_inputs, judge)
