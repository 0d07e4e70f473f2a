"""2.1 PCA.fit: mean and components, against the singular value decomposition of the centred data."""

import numpy as np
import scipy.linalg

from grading.questions.common import Arrays, Question, cases, changed, close, comparison, get, judgement, moments_close

PROJECTOR_TOLERANCE = 1e-3
CLEAR_GAP = 0.05  # relative gap of eigenvalues from which the order of two components counts


def make_inputs(rng: np.random.Generator) -> Arrays:
    """By hand: 3 points; ordinary data; two almost equal variances; few 8-bit images of many pixels."""
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    spread = np.array([10, 7, 5, 3.5, 2.5, 1.5, *[0.8] * 6])
    # Not exactly equal, or np.linalg.eig's vectors would not be perpendicular; that never happens on real data.
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


def judge(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    """Components (6 points) are scored by the worst case; the mean (2) must be right in all cases."""
    given = "(1, 1), (4, 4), (4, 1)"
    every = cases(inputs, "x")
    components = [get(answers, f"components_{i}") for i in every]
    judged = [judge_components(components[i], inputs[f"x_{i}"], int(inputs[f"dim_{i}"])) for i in every]
    worst = min(every, key=lambda i: judged[i][0])
    points, cause, hint = judged[worst]
    faults = [(cause, hint)] if points < 6 else []
    if faults and worst == 0 and components[0].size:
        want = np.array([[1, 1]]) / np.sqrt(2)
        faults = [(cause + comparison(f"{given}; dim = 1", components[0], want), hint)]
    means = [(get(answers, f"mean_{i}"), inputs[f"x_{i}"].mean(axis=0, dtype=np.float64)) for i in every]
    wrong = [i for i, (got, want) in enumerate(means) if not moments_close(got.reshape(-1), want)]
    if wrong:
        example = comparison(given, *means[0]) if wrong[0] == 0 else ""
        cause = f"mean is wrong{example}" if means[wrong[0]][0].size else "mean is not set"
        faults.append((cause, "self.mean = X.mean(axis=0), before X is centred"))
    else:
        points += 2
    if changed(inputs, answers):
        points = min(points, 4)
        faults.append(("PCA.fit changes X in place: transform would get other data", "X = X - mean, not X -= mean"))
    return judgement(points, faults) if faults else (8, "components and mean are right", "")


def leading(components: np.ndarray, j: int) -> np.ndarray:
    """Projector onto the first j rows, which does not depend on signs or on rotations among them."""
    return components[:j].T @ components[:j]


def judge_components(got: np.ndarray, x: np.ndarray, d: int) -> tuple[float, str, str]:
    """Points out of 6 for the components of one case, with cause and hint."""
    x = x.astype(np.float64)
    _, lengths, want = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    variances = lengths**2
    size = (d, x.shape[1])

    def same(rows: np.ndarray, j: int = d, others: np.ndarray = want) -> bool:
        return close(leading(rows, j), leading(others, j), PROJECTOR_TOLERANCE)

    def orthonormal(rows: np.ndarray) -> bool:
        return close(rows @ rows.T, np.eye(len(rows)), PROJECTOR_TOLERANCE)

    if got.size == 0:
        return (
            0,
            "components is not set, or does not hold real numbers",
            "use np.linalg.eigh: it gives real eigenvectors",
        )
    if got.shape == size[::-1] != size and orthonormal(got.T) and same(got.T):
        cause = f"components has shape (D, d) = {got.shape} instead of (d, D) = {size}"
        return 3, cause, "one component per row: transpose"
    if got.shape != size:
        cause = f"components has shape {got.shape} instead of (d, D) = {size}"
        return 0, cause, "keep self.dim components, one per row"
    if not np.isfinite(got).all():
        return 0, "components hold NaN or infinity", ""
    if not orthonormal(got):
        basis = scipy.linalg.orth(got.T).T
        if np.linalg.matrix_rank(got) == d and orthonormal(basis) and same(basis):
            return 0, "components do not have length 1, or are not perpendicular", "divide each by its length"
        return 0, "components are not orthonormal rows", "eigh's eigenvectors are columns: transpose, then slice"
    gaps = [j for j in range(1, d + 1) if (variances[j - 1] - variances[j]) > CLEAR_GAP * variances[j - 1]]
    if all(same(got, j) for j in gaps):
        return 6, "", ""
    if same(got):
        return 3, "components are the right ones in the wrong order", "the direction of most variance comes first"
    if same(got, others=np.linalg.svd(x, full_matrices=False)[2]):
        return 0, "X was not centred", "subtract the mean before the covariance"
    if same(got, others=np.linalg.eigh(np.cov(x.T))[1].T):
        return 0, "components are those of least variance", "eigh sorts in ascending order: take the last, reversed"
    return 0, "components are wrong", "the eigenvectors of the covariance matrix with the largest eigenvalues, as rows"


QUESTION = Question("2.1 PCA.fit", 8, make_inputs, judge)
