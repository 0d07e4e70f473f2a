"""The questions on the code: what a submission is given, and what its answers are worth.

    inputs = make_inputs("e_step", seed=0)
    result = score("e_step", inputs, answers)

The answers come as arrays from the child process (``worker.py``) and are judged here against SciPy's densities and
scikit-learn's PCA, never against a solution of the lab. Each question begins with an example small enough to redo by
hand. Tolerances leave room for float32, nothing more.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.spatial.transform import Rotation
from scipy.special import logsumexp
from scipy.stats import chi2, kstest, multivariate_normal
from sklearn.decomposition import PCA

Arrays = dict[str, np.ndarray]
ASKED_DIGIT = 6  # whose cluster question 6 asks for, and which both generators draw

GAMMA_TOLERANCE = 1e-3  # absolute; float32 densities reach 1e-4
MOMENT_TOLERANCE = 3e-5  # relative to the largest entry
RIDGE = 1e-6  # may lie on the covariances' diagonal
PROJECTOR_TOLERANCE = 1e-3
CLEAR_GAP = 0.05  # relative gap of eigenvalues above which the order of two components is determined
FALSE_FAIL = 1e-8  # probability of each statistical test to fail a right sampler


class Question(NamedTuple):
    label: str
    points: int
    inputs: Callable[[np.random.Generator], Arrays]
    judge: Callable[[Arrays, Arrays], tuple[float, str, str]]  # score, message, hint


def question(name: str, label: str, points: int) -> dict:
    """An entry of ``questions`` in grade.json, still without a verdict."""
    return {"id": name, "label": label, "points": points, "score": 0.0, "verdict": "", "message": "", "hint": ""}


def make_inputs(name: str, seed: int, questions: dict[str, Question] | None = None) -> Arrays:
    """The arrays that question ``name`` gives to a submission; other seeds give other numbers, not other difficulty.

    ``questions`` are those of another lab; ``QUESTIONS`` when None.
    """
    return (questions or QUESTIONS)[name].inputs(np.random.default_rng([seed, *name.encode()]))


def score(name: str, inputs: Arrays, answers: Arrays, questions: dict[str, Question] | None = None) -> dict:
    """Judge the answers to one question.

    Args:
        name: a key of ``QUESTIONS``.
        inputs: what ``make_inputs`` gave.
        answers: what the child left; nothing is assumed of shapes, types or values.
        questions: those of another lab; ``QUESTIONS`` when None.

    Returns:
        the entry of ``questions`` in grade.json; its verdict is PASS or WRONG.
    """
    asked = (questions or QUESTIONS)[name]
    with np.errstate(all="ignore"):  # answers may hold anything
        points, message, hint = asked.judge(inputs, answers)
    verdict = "PASS" if points == asked.points else "WRONG"
    return question(name, asked.label, asked.points) | {
        "score": float(points),
        "verdict": verdict,
        "message": message,
        "hint": "" if verdict == "PASS" else hint,
    }


# --------------------------------------------------------------------------- what the questions share


def cases(arrays: Arrays, name: str) -> range:
    return range(sum(key.startswith(f"{name}_") for key in arrays))


def get(answers: Arrays, name: str) -> np.ndarray:
    """An answer as float64; empty when it is missing, or complex with an imaginary part that matters."""
    array = answers.get(name, np.zeros(0))
    if array.dtype.kind == "c":
        if array.size and np.abs(array.imag).max() > 1e-6 * np.abs(array).max():
            return np.zeros(0)
        array = array.real
    return array.astype(np.float64)


def close(got: np.ndarray, want: np.ndarray, tolerance: float) -> bool:
    """Same shape, and nowhere further apart than ``tolerance``; NaN is never close."""
    return got.shape == want.shape and bool((np.abs(got - want) <= tolerance).all())


def moments_close(got: np.ndarray, want: np.ndarray) -> bool:
    return close(got, want, MOMENT_TOLERANCE * np.abs(want).max())


def shown(array: np.ndarray) -> str:
    """An array on one line; a large one is cut, one of many axes is told by its shape."""
    if array.ndim > 3:
        return f"an array of shape {array.shape}"
    return np.array2string(array, precision=4, suppress_small=True, threshold=30, separator=", ").replace("\n", "")


def comparison(given: str, got: np.ndarray, want: np.ndarray) -> str:
    """The lines that follow a message where a number is wrong."""
    return f"\ninput: {given}\ngot: {shown(got)}\nwant: {shown(want)}"


def covariances(rng: np.random.Generator, k: int, d: int, scale: float) -> np.ndarray:
    """K well-conditioned covariances of about ``scale`` squared: float64 (K, D, D)."""
    directions = np.array([np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(k)])
    variances = (scale * rng.uniform(0.5, 1.5, size=(k, d))) ** 2
    return np.einsum("kij,kj,klj->kil", directions, variances, directions)


def weights(rng: np.random.Generator, k: int) -> np.ndarray:
    """K mixing weights of clearly different size: float64 (K,)."""
    raw = rng.permutation(np.geomspace(1, 6, k))
    return raw / raw.sum()


def changed(inputs: Arrays, answers: Arrays, name: str = "x") -> bool:
    """Whether the code wrote into the data that it was given."""
    every = cases(inputs, name)
    return not all(np.array_equal(get(answers, f"{name}_after_{i}"), inputs[f"{name}_{i}"]) for i in every)


# --------------------------------------------------------------------------- 1.1 E-step


def e_step_inputs(rng: np.random.Generator) -> Arrays:
    """By hand: 3 points, 2 clusters; then two ordinary mixtures; last, points so far away that densities underflow.

    1,030 points are more than a block, for code that works in blocks of a usual size.
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
    """log N(x_n | mean_k, cov_k) of case i by SciPy: (N, K)."""
    x, means, covs = (inputs[f"{name}_{i}"] for name in ("x", "means", "covs"))
    return np.stack([multivariate_normal(m, c).logpdf(x).reshape(len(x)) for m, c in zip(means, covs, strict=True)], 1)


def softmax(log_joint: np.ndarray, axis: int = 1) -> np.ndarray:
    return np.exp(log_joint - logsumexp(log_joint, axis=axis, keepdims=True))


def judge_e_step(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    far = cases(inputs, "x")[-1]
    ordinary = range(far)
    densities = [log_densities(inputs, i) for i in range(far + 1)]
    joints = [logs + np.log(inputs[f"pi_{i}"]) for i, logs in enumerate(densities)]
    want = [softmax(joint) for joint in joints]
    got = [get(answers, f"gamma_{i}") for i in range(far + 1)]

    def matches(wanted: list[np.ndarray], found: list[np.ndarray] = got) -> bool:
        return all(close(found[i], wanted[i], GAMMA_TOLERANCE) for i in ordinary)

    for i in ordinary:
        n, k = want[i].shape
        if got[i].size == 0:
            return 0, "_e_step returned no array of numbers", "return gamma, an array of shape (N, K)"
        if got[i].shape != (n, k):
            message = f"gamma has shape {got[i].shape}, wanted is (N, K) = {(n, k)}"
            return 0, message, "one row a sample, one column a component"
        if not np.isfinite(got[i]).all():
            message = f"gamma holds NaN or infinity for {n} ordinary points, K = {k}, D = {inputs[f'x_{i}'].shape[1]}"
            return 0, message, "work with logarithms of the densities, and subtract each row's maximum before np.exp"
    if not matches(want):
        return e_step_mistake(inputs, got, want, densities, joints, matches)
    near = np.isfinite(got[far]).all(axis=1) if got[far].shape == want[far].shape else np.zeros(0, bool)
    within = np.arange(len(want[far])) < len(want[far]) // 2  # the points of that case that are not far away
    if len(near) and not close(got[far][within], want[far][within], GAMMA_TOLERANCE):
        message = "a point's gamma is wrong when another point lies far away"
        return 0, message, "each row of gamma depends on its own point only; subtract each row's own maximum"
    if changed(inputs, answers):
        return (
            5,
            "gamma is right, but _e_step changes X in place: the M-step would get other data",
            "work on a copy of X",
        )
    if not (len(near) and close(got[far], want[far], GAMMA_TOLERANCE)):
        message = (
            "right on ordinary data; 300 times further away all densities underflow and gamma is 0/0 (costs no points; "
            "logarithms would avoid it)"
        )
        return 10, message, ""
    return 10, "gamma is right", ""


def e_step_mistake(inputs, got, want, densities, joints, matches) -> tuple[float, str, str]:
    """Name the mistake, where it is a known one."""
    given = "x = 0, 1, 4; means = 0, 4; variances = 4, 4; pi = 1/3, 2/3"
    example = comparison(given, got[0], want[0])
    # Without the far points, where there may be no gamma at all.
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
    hint = "in one dimension it is right: check the inverse, the determinant and the factor (2 pi)^D of the density"
    return 0, f"gamma is right on the example in one dimension, and wrong with D = {d}{lines}", hint


# --------------------------------------------------------------------------- 1.2 M-step


def m_step_inputs(rng: np.random.Generator) -> Arrays:
    """By hand: 3 points, 2 clusters; then two ordinary ones. The parameters before the step are others."""
    arrays = {
        "x_0": np.array([[0.0], [1.0], [4.0]]),
        "gamma_0": np.array([[1.0, 0.0], [0.75, 0.25], [0.25, 0.75]]),
        "means_0": np.array([[-1.0], [5.0]]),
        "covs_0": np.array([[[1.0]], [[3.0]]]),
        "pi_0": np.array([0.5, 0.5]),
    }
    for i, (n, k, d, scale) in enumerate([(1030, 4, 3, 1.0), (200, 5, 8, 20.0)], start=1):
        arrays |= {
            f"x_{i}": scale * (2 + rng.normal(size=(n, d)) * rng.uniform(0.5, 1.5, size=d)),
            f"gamma_{i}": rng.dirichlet(weights(rng, k) * 3, size=n),
            f"means_{i}": rng.normal(size=(k, d)) * scale,
            f"covs_{i}": covariances(rng, k, d, scale),
            f"pi_{i}": weights(rng, k),
        }
    return arrays


def moments(x: np.ndarray, gamma: np.ndarray) -> Arrays:
    """Weighted moments, by NumPy's own weighted average and covariance."""
    columns = gamma.T
    return {
        "pi": columns.mean(axis=1),
        "means": np.array([np.average(x, axis=0, weights=column) for column in columns]),
        "covs": np.array([np.cov(x.T, aweights=column, ddof=0).reshape(x.shape[1], -1) for column in columns]),
    }


def covariances_close(got: np.ndarray, want: np.ndarray) -> bool:
    """Equal up to a ridge between 0 and 1e-6."""
    if got.shape != want.shape:
        return False
    d = want.shape[-1]
    ridge = np.clip(np.trace(got - want, axis1=1, axis2=2).mean() / d, 0, RIDGE)
    return moments_close(got - ridge * np.eye(d), want)


def judge_m_step(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    every = cases(inputs, "x")
    want = [moments(inputs[f"x_{i}"], inputs[f"gamma_{i}"]) for i in every]
    got = [{name: get(answers, f"{name}_{i}") for name in want[i]} for i in every]
    parts = {"pi": (2, moments_close), "means": (3, moments_close), "covs": (5, covariances_close)}
    points, faults, hints = 0, [], []
    for name, (worth, same) in parts.items():
        wrong = [i for i in every if not same(got[i][name], want[i][name])]
        if not wrong:
            points += worth
            continue
        i = wrong[0]
        cause, hint = m_step_mistake(name, i, inputs, got, want)
        hints.append(hint)
        if i == 0 and got[0][name].size:
            given = f"x = 0, 1, 4; gamma = {shown(inputs['gamma_0'])}"
            cause += comparison(given, got[0][name].squeeze(), want[0][name].squeeze())
        faults.append(cause)
    if changed(inputs, answers) or changed(inputs, answers, "gamma"):
        points = min(points, 5)
        faults.append("_m_step changes X or gamma in place: the next E-step would get other data")
        hints.append("work on a copy")
    if not faults:
        return 10, "pi, means and covs are right", ""
    return points, "\n".join(faults), "; ".join(dict.fromkeys(hint for hint in hints if hint))


def m_step_mistake(name: str, i: int, inputs: Arrays, got: list[Arrays], want: list[Arrays]) -> tuple[str, str]:
    """What is wrong with one parameter in case i, and how to mend it."""
    found, wanted, before = got[i][name], want[i][name], inputs[f"{name}_{i}"]
    x, gamma = inputs[f"x_{i}"], inputs[f"gamma_{i}"]
    if found.size == 0:
        return f"{name} holds no numbers", f"set self.{name}"
    if found.shape != wanted.shape:
        return f"{name} has shape {found.shape}, wanted is {wanted.shape}", ""
    if np.array_equal(found, before):
        return f"{name} is unchanged", f"set self.{name}"
    if not np.isfinite(found).all():
        return f"{name} holds NaN or infinity", "divide by N_k, the sum of gamma over the samples"
    n_soft = gamma.sum(axis=0)
    if name == "pi":
        if moments_close(found, n_soft):
            return "pi is not divided by the number of samples", "pi_k = N_k / N"
        return "pi is wrong", "pi_k = N_k / N, with N_k the sum of gamma over the samples"
    if name == "means":
        return "means are wrong", "mean_k = sum_n gamma_nk x_n / N_k"
    n = len(x)
    if moments_close(found, wanted * (n_soft / n)[:, None, None]):
        return "covs are divided by N instead of N_k", "divide by N_k, the sum of gamma over the samples"
    shift = want[i]["means"] - inputs[f"means_{i}"]
    if moments_close(found, wanted + np.einsum("ki,kj->kij", shift, shift)):
        return "covs are taken around the means before this step", "update self.means first and use the new ones"
    shift = want[i]["means"]
    if moments_close(found, wanted + np.einsum("ki,kj->kij", shift, shift)):
        return "covs are taken around 0", "subtract the mean of component k from X first"
    if moments_close(found, wanted * np.eye(wanted.shape[-1])):
        return "covs keep only the diagonal", "the mixture has full covariances"
    return "covs are wrong", "cov_k = sum_n gamma_nk (x_n - mean_k)(x_n - mean_k)^T / N_k"


# --------------------------------------------------------------------------- 2.1 PCA


def pca_inputs(rng: np.random.Generator) -> Arrays:
    """By hand: 3 points; ordinary data; all but equal variances in two directions; few 8-bit images of many pixels."""
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    spread = np.array([10, 7, 5, 3.5, 2.5, 1.5, *[0.8] * 6])
    # Not exactly equal: np.linalg.eig's vectors would not be perpendicular then, which real data never show.
    tied = np.array([5.0, 4.99975, 3.0, 1.0, 0.5])
    axes = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    parts = rng.normal(size=(150, 10)) * np.geomspace(60, 8, 10)
    pixels = 128 + parts @ np.linalg.qr(rng.normal(size=(196, 10)))[0].T * 3 + rng.normal(size=(150, 196))
    pixels[:, :14] = 0  # the edge of every image is black
    return {
        "x_0": np.array([[1.0, 1.0], [4.0, 4.0], [4.0, 1.0]]),
        "dim_0": np.array(1),
        "x_1": rng.normal(size=(200, 12)) * spread @ turn + rng.uniform(30, 60, size=12),
        "dim_1": np.array(5),
        "x_2": np.concatenate([tied[:, None] * axes, -tied[:, None] * axes]) + 10,
        "dim_2": np.array(3),
        "x_3": np.clip(np.rint(pixels), 0, 255).astype(np.uint8),
        "dim_3": np.array(10),
    }


def leading(components: np.ndarray, j: int) -> np.ndarray:
    """Projector onto the first j rows: free of signs and of rotations among them."""
    return components[:j].T @ components[:j]


def judge_pca(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    every = cases(inputs, "x")
    faults, hints = [], []
    worth, missed = 6, None
    for i in every:
        points, cause, hint = judge_components(
            get(answers, f"components_{i}"), inputs[f"x_{i}"], int(inputs[f"dim_{i}"])
        )
        if points < worth:
            worth, missed = points, i
            faults, hints = [cause], [hint]
    means = [(get(answers, f"mean_{i}"), inputs[f"x_{i}"].mean(axis=0, dtype=np.float64)) for i in every]
    mean_wrong = [i for i, (got, want) in enumerate(means) if not moments_close(got.reshape(-1), want)]
    if missed == 0 and get(answers, "components_0").size:
        want = np.array([[1, 1]]) / np.sqrt(2)
        faults[0] += comparison("(1, 1), (4, 4), (4, 1); dim = 1", get(answers, "components_0"), want)
    if mean_wrong:
        got, want = means[mean_wrong[0]]
        if got.size == 0:
            faults.append("mean is not set")
        else:
            faults.append(
                f"mean is wrong{comparison('(1, 1), (4, 4), (4, 1)', *means[0]) if not mean_wrong[0] else ''}"
            )
        hints.append("self.mean = X.mean(axis=0), before X is centred")
    total = worth + 2 * (not mean_wrong)
    if changed(inputs, answers):
        total = min(total, 4)
        faults.append("PCA.fit changes X in place: transform would get other data")
        hints.append("write X = X - mean, not X -= mean")
    if not faults:
        return 8, "components and mean are right", ""
    return total, "\n".join(faults), "; ".join(dict.fromkeys(hint for hint in hints if hint))


def judge_components(got: np.ndarray, x: np.ndarray, d: int) -> tuple[int, str, str]:
    """Points out of 6 for the components of one case, with cause and hint."""
    x = x.astype(np.float64)
    oracle = PCA(svd_solver="full").fit(x)
    want, variances = oracle.components_, oracle.explained_variance_
    size = (d, x.shape[1])

    def same(rows: np.ndarray, j: int) -> bool:
        return close(leading(rows, j), leading(want, j), PROJECTOR_TOLERANCE)

    def orthonormal(rows: np.ndarray) -> bool:
        return close(rows @ rows.T, np.eye(len(rows)), PROJECTOR_TOLERANCE)

    if got.size == 0:
        return 0, "components is not set, or holds no real numbers", "use np.linalg.eigh: it gives real eigenvectors"
    if got.shape == size[::-1] and got.shape != size:
        if orthonormal(got.T) and same(got.T, d):
            cause = f"components has shape (D, d) = {got.shape}, wanted is (d, D) = {size}"
            return 3, cause, "one component a row: transpose"
        return 0, f"components has shape {got.shape}, wanted is (d, D) = {size}", "one component a row"
    if got.shape != size:
        return 0, f"components has shape {got.shape}, wanted is (d, D) = {size}", "keep self.dim components, one a row"
    if not np.isfinite(got).all():
        return 0, "components hold NaN or infinity", ""
    if not orthonormal(got):
        if np.linalg.matrix_rank(got) == d and orthonormal(scipy.linalg.orth(got.T).T) and same_span(got, want[:d]):
            return 0, "components have not length 1, or are not perpendicular", "divide each by its length"
        return 0, "components are not orthonormal rows", "eigh's eigenvectors are columns: transpose, then slice"
    gaps = [j for j in range(1, d + 1) if (variances[j - 1] - variances[j]) > CLEAR_GAP * variances[j - 1]]
    if all(same(got, j) for j in gaps):
        return 6, "", ""
    if same(got, d):
        return 3, "components are the right ones in the wrong order", "the direction of most variance comes first"
    uncentred = np.linalg.svd(x, full_matrices=False)[2]
    if close(leading(got, d), leading(uncentred, d), PROJECTOR_TOLERANCE):
        return 0, "X was not centred", "subtract the mean before the covariance"
    smallest = np.linalg.eigh(np.cov(x.T))[1][:, :d].T
    if close(leading(got, d), leading(smallest, d), PROJECTOR_TOLERANCE):
        return (
            0,
            "components are those of least variance",
            "eigh sorts in ascending order: take the last ones, reversed",
        )
    return 0, "components are wrong", "the eigenvectors of the covariance matrix with the largest eigenvalues, as rows"


def same_span(got: np.ndarray, want: np.ndarray) -> bool:
    basis = scipy.linalg.orth(got.T).T
    return close(leading(basis, len(want)), leading(want, len(want)), PROJECTOR_TOLERANCE)


# --------------------------------------------------------------------------- 5.1 sampling

DRAWS = 400
SHOWN = 512  # pixels of a picture that vary; the others are fixed
BRIGHT, DARK = slice(512, 544), slice(544, 576)  # places, in the order of the shuffled pixels, that are out of range


def sampling_inputs(rng: np.random.Generator) -> Arrays:
    """Pictures that stay within 0..255 and reach both ends; then pictures that do not stay within.

    In the first case, clipping and stretching to 0..255 give the same picture, so that both can be judged by one
    distribution. In the second, 32 pixels have the value 400 and 32 have -150, whatever is drawn.
    """
    pixels = rng.permutation(784)
    signs = scipy.linalg.hadamard(SHOWN)[1 + rng.choice(SHOWN - 1, 3, replace=False)]  # their sums are 0
    components = np.zeros((3, 784))
    components[:, pixels[:SHOWN]] = 6.0 * signs
    mean = rng.uniform(20, 235, size=784)
    mean[pixels[:SHOWN]] = rng.uniform(117, 137, size=SHOWN)
    inside, outside = mean.copy(), mean.copy()
    inside[pixels[BRIGHT]], inside[pixels[DARK]] = 255, 0
    outside[pixels[BRIGHT]], outside[pixels[DARK]] = 400, -150
    # One turn, the variances in another order: another component's covariance, a covariance's diagonal alone, and its
    # factors transposed have a direction of at least 2.9 times too much or too little variance.
    signs, axis = rng.choice([-1, 1], size=3), np.array([0.17, 1.2, 0.78]) + rng.uniform(-0.05, 0.05, size=3)
    turn = np.outer(signs, signs) * Rotation.from_rotvec(axis).as_matrix()
    variances = [np.diag(np.roll([4.0, 1.0, 0.25], shift)) for shift in rng.permutation(3)]
    # Any two means lie on opposite sides of 0 in two directions.
    sides = rng.choice([-1, 1], size=3) * rng.permutation([[1, 1, -1], [1, -1, 1], [-1, 1, 1]])
    shared = {
        "means": rng.uniform(1, 2, size=(3, 3)) * sides,
        "covs": np.array([turn @ diagonal @ turn.T for diagonal in variances]),
        "pi": weights(rng, 3),
        "components": components,
    }
    label = int(rng.integers(1, 3))
    return {
        **{f"{name}_{i}": array for i in range(2) for name, array in shared.items()},
        **{"mean_0": inside, "mean_1": outside},
        **{"label_0": np.array(label), "label_1": np.array(0), "n_0": np.array(DRAWS), "n_1": np.array(8)},
    }


def judge_sampling(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    for i in range(2):
        form = answers.get(f"form_{i}", np.zeros(1))
        if form.size:
            return 0, *wrong_file(form)
    images = [answers.get(f"images_{i}", np.zeros(0)) for i in range(2)]
    if any(array.dtype != np.uint8 or array.shape != (int(inputs[f"n_{i}"]), 28, 28) for i, array in enumerate(images)):
        return 0, "there are fewer pictures than were asked for", "write one picture a call"
    inside, outside = (image.reshape(len(image), 784).astype(np.float64) for image in images)
    points, faults, hints = 2, [], []
    bright, dark = (np.flatnonzero(far) for far in (inputs["mean_1"] > 255, inputs["mean_1"] < 0))
    if (outside[:, bright] >= 250).all() and (outside[:, dark] <= 5).all():
        points += 2
    else:
        got = outside[0, [bright[0], dark[0]]]
        faults.append(
            "pixel values beyond 0..255 come out wrong" + comparison("pixels 400, -150", got, np.array([255, 0]))
        )
        hints.append("np.clip(image, 0, 255) before astype(np.uint8), which wraps around")
    more, cause, hint = judge_draws(inputs, inside)
    if cause:
        faults.append(cause)
        hints.append(hint)
    if not faults:
        return 7, "the pictures have the right form, mean and spread", ""
    return points + more, "\n".join(faults), "; ".join(hints)


def wrong_file(form: np.ndarray) -> tuple[str, str]:
    """Cause and hint for a picture that is not what was asked for; ``form`` as the worker left it."""
    with np.errstate(all="ignore"):  # the file may hold any numbers
        numbers = np.nan_to_num(np.resize(form, 3).astype(np.complex128).real)
    code, width, height = (int(n) for n in np.clip(numbers, -1, 10**6))
    causes = {
        0: "no gmm_sample.png was written into the folder `path`",
        1: "gmm_sample.png is no picture",
        2: "gmm_sample.png is not in PNG format",
        3: "gmm_sample.png is not 8-bit grey (mode L)",
        4: f"gmm_sample.png has {width} x {height} pixels, not 28 x 28",
    }
    hint = "Image.fromarray(array of uint8, shape (28, 28)).save(Path(path) / 'gmm_sample.png')"
    return causes.get(code, causes[0]), hint


def judge_draws(inputs: Arrays, images: np.ndarray) -> tuple[int, str, str]:
    """Points out of 3 for the mean (1) and the spread (2) of many draws, with cause and hint."""
    label = int(inputs["label_0"])
    mean, cov, components = inputs["means_0"][label], inputs["covs_0"][label], inputs["components_0"]
    if (images == images[0]).all():
        cause = "every draw is the same picture"
        if np.abs(images[0] - np.clip(mean @ components + inputs["mean_0"], 0, 255)).max() < 3:
            cause += ": the component's mean"
        return 0, cause, "draw from the normal distribution anew at each call; set no seed inside"
    codes, found = draw_statistics(inputs, images)
    inside = {name: low < value < high for name, (value, low, high) in found.items()}
    mean_right = inside.pop("offset of the mean")
    spread_right = all(inside.values())
    if mean_right and spread_right:
        return 3, "", ""
    if not mean_right and not spread_right and close(codes.mean(axis=0), mean, 0.5):
        mean_right = True  # draws that hardly vary: their mean is as right as their rounding
    causes, hints = [], []
    if not mean_right:
        causes.append(f"the draws do not lie around the mean of component {label}")
        hints.append("use gmm.means[label], and add the PCA's mean once (inverse_transform does)")
    if not spread_right:
        causes.append("the draws do not spread as the component's covariance says")
        if causes[0] is causes[-1]:
            own = np.sqrt(np.clip(np.diag(np.cov(codes.T)), 0, None))
            causes[-1] += comparison("standard deviation of each code", np.round(own, 1), np.sqrt(np.diag(cov)))
        hints.append("mean + L z with L the Cholesky factor of gmm.covs[label], or np.random.multivariate_normal")
    return int(mean_right) + 2 * int(spread_right), "; ".join(causes), "; ".join(hints)


def draw_statistics(inputs: Arrays, images: np.ndarray) -> tuple[np.ndarray, dict[str, tuple[float, float, float]]]:
    """The codes (N, d) of draws (N, 784), and each statistic of theirs with the bounds that it lies between."""
    label = int(inputs["label_0"])
    mean, cov = inputs["means_0"][label], inputs["covs_0"][label]
    codes = (images - inputs["mean_0"]) @ np.linalg.pinv(inputs["components_0"])
    # Standard normal, if the draws are right.
    white = np.linalg.solve(np.linalg.cholesky(cov), (codes - mean).T).T
    n, d = white.shape
    variances = np.linalg.eigvalsh(white.T @ white / n)
    # The mean is judged by the draws' own spread, so that a wrong covariance does not cost it.
    centred = codes - codes.mean(axis=0)
    offset = codes.mean(axis=0) - mean
    # At n = 400, d = 3 the bounds of the largest and the least variance are each passed with a probability below 1e-15.
    return codes, {
        "offset of the mean": (
            n * offset @ np.linalg.pinv(centred.T @ centred / n) @ offset,
            -1,
            1.3 * chi2.isf(FALSE_FAIL, d),
        ),
        "least variance": (variances.min(), 0.5, np.inf),
        "largest variance": (variances.max(), 0, 1.75),
        "sum of squares": (variances.sum() * n, chi2.ppf(FALSE_FAIL, n * d), chi2.isf(FALSE_FAIL, n * d)),
        "p-value of the radii": (kstest((white**2).sum(axis=1), chi2(d).cdf).pvalue, FALSE_FAIL, np.inf),
    }


QUESTIONS = {
    "e_step": Question("1.1 E-step", 10, e_step_inputs, judge_e_step),
    "m_step": Question("1.2 M-step", 10, m_step_inputs, judge_m_step),
    "pca_fit": Question("2.1 PCA.fit", 8, pca_inputs, judge_pca),
    "sample_from_gmm": Question("5.1 sampling", 7, sampling_inputs, judge_sampling),
}
