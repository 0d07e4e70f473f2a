"""2.1 PCA.fit: mean and components, against the singular value decomposition of the centred data."""

import numpy as np

from grading.questions.common import Arrays, Question, cases, changed, close, comparison, get, judgement, moments_close

PROJECTOR_TOLERANCE = 1e-3
CLEAR_GAP = 0.05  # relative gap of eigenvalues from which the order of two components counts


def make_inputs(rng: np.random.Generator) -> Arrays:
    """By hand: 3 points, first component (0.8, 0.6); ordinary data; two almost equal variances; few 8-bit images."""
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    spread = np.array([10, 7, 5, 3.5, 2.5, 1.5, *[0.8] * 6])
    # Not exactly equal, or np.linalg.eig's vectors would not be perpendicular; that never happens on real data.
    tied = np.array([5.0, 4.99975, 3.0, 1.0, 0.5])
    axes = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    parts = rng.normal(size=(150, 10)) * np.geomspace(60, 8, 10)
    pixels = 128 + parts @ np.linalg.qr(rng.normal(size=(196, 10)))[0].T * 3 + rng.normal(size=(150, 196))
    pixels[:, :14] = 0  # the edge of every image is black
    return {
        "x_0": np.array([[6.0, 1.0], [0.0, 9.0], [15.0, 14.0]]),
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
    given = "(6, 1), (0, 9), (15, 14)"
    every = cases(inputs, "x")
    components = [get(answers, f"components_{i}") for i in every]
    judged = [judge_components(components[i], inputs[f"x_{i}"], int(inputs[f"dim_{i}"])) for i in every]
    points, faults = min(score for score, *_ in judged), []
    wrong = [i for i in every if judged[i][0] < 6]
    if wrong:
        _, cause, hint = judged[wrong[0]]
        if not cause:
            cause, hint = known_mistake(components, inputs, wrong)
        example = comparison(f"{given}; dim = 1", components[0], np.array([[0.8, 0.6]]))
        faults = [(cause + example if wrong[0] == 0 and components[0].size else cause, hint)]
    means = [(get(answers, f"mean_{i}"), inputs[f"x_{i}"].mean(axis=0, dtype=np.float64)) for i in every]
    wrong = [i for i, (got, want) in enumerate(means) if not moments_close(got.reshape(-1), want)]
    if wrong:
        got, want = means[wrong[0]]
        zero = not np.abs(got).max(initial=0) > 1e-6
        cause = "mean is 0: it was taken after X was centred" if got.size and zero else "mean is wrong"
        if got.size != want.size:
            cause = f"mean has shape {got.shape} instead of {want.shape}" if got.size else "mean is not set"
        example = comparison(given, *means[0]) if wrong[0] == 0 and got.size else ""
        faults.append((cause + example, "self.mean = X.mean(axis=0), before X is centred"))
    else:
        points += 2
    if changed(inputs, answers):
        points = min(points, 4)
        faults.append(("PCA.fit changes X in place: transform would get other data", "X = X - mean, not X -= mean"))
    return judgement(points, faults or [("components and mean are right", "")])


def same(rows: np.ndarray, others: np.ndarray, j: int) -> bool:
    """Whether the first j rows span the same space; projectors do not depend on signs or on rotations among them."""
    return close(rows[:j].T @ rows[:j], others[:j].T @ others[:j], PROJECTOR_TOLERANCE)


def orthonormal(rows: np.ndarray) -> bool:
    return rows.ndim == 2 and close(rows @ rows.T, np.eye(len(rows)), PROJECTOR_TOLERANCE)


def judge_components(got: np.ndarray, x: np.ndarray, d: int) -> tuple[float, str, str]:
    """Points out of 6 for the components of one case, with cause and hint; no cause if the directions are wrong."""
    x = x.astype(np.float64)
    _, lengths, want = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    variances = lengths**2
    size = (d, x.shape[1])
    if got.size == 0:
        hint = "set self.components; np.linalg.eigh gives real eigenvectors"
        return 0, "components is not set, or does not hold real numbers", hint
    if got.shape != size:
        cause = f"components has shape {got.shape} instead of (d, D) = {size}"
        if got.shape == size[::-1]:
            right = orthonormal(got.T) and same(got.T, want, d)
            return 3 * right, cause, "one component per row: transpose"
        if len(x) in got.shape:
            return 0, cause, f"{len(x)} is the number of samples: use np.cov(X.T), or the third result of the SVD"
        return 0, cause, "keep self.dim components, one per row"
    if not np.isfinite(got).all():
        return 0, "components hold NaN or infinity", "do not divide by variances: some are 0"
    gaps = [j for j in range(1, d + 1) if (variances[j - 1] - variances[j]) > CLEAR_GAP * variances[j - 1]]
    if not orthonormal(got) or not same(got, want, d):
        return 0, "", ""
    if all(same(got, want, j) for j in gaps):
        return 6, "", ""
    return 3, "components are the right ones in the wrong order", "the direction of most variance comes first"


def known_mistake(components: list[np.ndarray], inputs: Arrays, wrong: list[int]) -> tuple[str, str]:
    """Cause and hint for wrong directions, from the example by hand and the ordinary data alike."""
    pairs = [(components[i], inputs[f"x_{i}"], int(inputs[f"dim_{i}"])) for i in (0, 1)]
    if wrong == [3]:
        return "components are wrong for 8-bit pixels only", "in uint8, 3 - 5 is 254: convert by X.astype(np.float64)"
    if all(got.shape == (d, x.shape[1]) for got, x, d in pairs):
        for cause, hint, rows in SLIPS:
            if all(same(got, rows(x), d) for got, x, d in pairs):
                return cause, hint
        if all(taken_as_rows(got, np.linalg.eigh(np.cov(x.T))[1]) for got, x, _ in pairs):
            hint = "eigh's matrix has eigenvectors as columns (transpose, then slice), the SVD's third result as rows"
            return "components are taken along the wrong axis of the matrix of eigenvectors", hint
    if not all(orthonormal(got) for got in components):
        return "components do not have length 1, or are not perpendicular", "take the eigenvectors as they are, as rows"
    return "components are wrong", "the eigenvectors of the covariance matrix with the largest eigenvalues, as rows"


def taken_as_rows(got: np.ndarray, vectors: np.ndarray) -> bool:
    """Whether ``got`` are first or last rows of a matrix of eigenvectors or of the reversed matrix, but for signs."""
    d = len(got)
    turned = (matrix[rows] for matrix in (vectors, vectors[:, ::-1]) for rows in np.s_[:d, -d:, : -d - 1 : -1])
    return any(close(np.abs(got), np.abs(rows), PROJECTOR_TOLERANCE) for rows in turned)


# cause, hint, and the directions that the mistake gives, as rows
SLIPS = [
    ("X was not centred", "subtract the mean before the covariance",
     lambda x: np.linalg.svd(x, full_matrices=False)[2]),
    ("components are those of least variance", "eigh sorts in ascending order: take the last, reversed",
     lambda x: np.linalg.eigh(np.cov(x.T))[1].T),
    ("X was divided by its standard deviation", "subtract the mean, and no more",
     lambda x: np.linalg.svd((x - x.mean(axis=0)) / x.std(axis=0), full_matrices=False)[2]),
]  # fmt: skip
QUESTION = Question("2.1 PCA.fit", 8, make_inputs, judge)
