"""The questions on this lab's submission: what it is given, and what its answers are worth (30 points).

Judged by NumPy, SciPy and scikit-learn on the parameters that the network has, and by trying all exchanges; never by a
solution of the lab.
"""

import itertools

import numpy as np
from scipy.signal import correlate

from grading.questions.common import Arrays, Question, activation_fault, cases, close, comparison, get, judgement, shown

TOLERANCE = 1e-4  # absolute, on numbers of about 1
SHAPES = {"encoder": [(8, 3, 3, 3), (8,), (16, 8, 3, 3), (16,)], "decoder": [(16, 8, 2, 2), (8,), (8, 3, 2, 2), (3,)]}


def autoencoder_inputs(rng: np.random.Generator) -> Arrays:
    x, z = rng.uniform(-1, 1, size=(3, 3, 32, 32)), rng.normal(size=(3, 16, 8, 8))
    return {"x": x.astype(np.float32), "z": z.astype(np.float32)}


def halved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Every second value of the cross-correlation of x (N, C, H, W) with each kernel (C, 3, 3), zeros around."""
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    maps = [[correlate(image, kernel, mode="valid")[0, ::2, ::2] for kernel in weight] for image in x]
    return np.array(maps) + bias[:, None, None]


def doubled(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Each value of x (N, C, H, W) as a square of 2 x 2 by the kernels (C, O, 2, 2)."""
    n, _, height, width = x.shape
    squares = np.einsum("nchw,coij->nohiwj", x, weight).reshape(n, -1, 2 * height, 2 * width)
    return squares + bias[:, None, None]


def fault_of(side: str, inputs: Arrays, answers: Arrays) -> tuple[str, str] | None:
    """What is wrong with one side of the network, and a hint; None where nothing is."""
    parameters = [get(answers, f"{side}_{i}") for i in range(99) if f"{side}_{i}" in answers]
    if (found := [parameter.shape for parameter in parameters]) != SHAPES[side]:
        hint = f"self.{side}: an nn.Sequential of two layers, each with its bias, with the numbers of the text's table"
        return f"the {side}'s parameters have the shapes {found}, wanted are {SHAPES[side]}", hint
    if not get(answers, f"{side}_is_float32").all():
        return f"the {side}'s parameters are not float32, as the pictures are", "leave dtype= out"
    got = get(answers, "codes" if side == "encoder" else "output")
    layer, x = (halved, inputs["x"]) if side == "encoder" else (doubled, inputs["z"])

    def passed(inner=np.asarray, last=np.asarray) -> np.ndarray:
        return last(layer(inner(layer(x, *parameters[:2])), *parameters[2:]))

    return activation_fault(side, got, passed, np.asarray if side == "encoder" else np.tanh)


def judge_autoencoder(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    faults = list(filter(None, (fault_of(side, inputs, answers) for side in SHAPES)))
    return judgement(12 - 6 * len(faults), faults or [("the layers are right", "")])


def standardise_inputs(rng: np.random.Generator) -> Arrays:
    """Codes with columns that never vary: 3, and 0.1, whose mean and deviation are rounded."""
    codes = rng.normal(size=(40, 6)) * rng.uniform(0.5, 30, size=6) + rng.normal(size=6) * 10
    codes[:, 2], codes[:, 4] = 3.0, 0.1
    return {"codes": codes.astype(np.float32)}


def judge_standardise(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    from sklearn.preprocessing import StandardScaler

    codes, got = inputs["codes"].astype(np.float64), get(answers, "z")
    want, n = StandardScaler().fit_transform(codes), len(codes)
    varies = np.ptp(codes, axis=0) > 0
    if got.shape != want.shape:
        return 0, f"the result has shape {got.shape}, wanted is {want.shape}", "return an array of the codes' shape"
    ways = [want, want * np.sqrt((n - 1) / n)]  # by N or N - 1
    if not any(close(got[:, varies], way[:, varies], TOLERANCE) for way in ways):
        hint = "(codes - mean) / std, both along axis 0"
        for wrong, message in (
            ((codes - codes.mean()) / codes.std(), "the whole array was standardised at once, not each column"),
            (StandardScaler().fit_transform(codes.T).T, "each row was standardised, not each column"),
            (StandardScaler(with_mean=False).fit_transform(codes), "the mean is not taken off"),
            (StandardScaler(with_std=False).fit_transform(codes), "nothing is divided by the standard deviation"),
        ):
            if close(got[:, varies], wrong[:, varies], TOLERANCE):
                return 2, message, hint
        return 0, f"columns are not standard{comparison('the first image', got[0], want[0])}", hint
    for column in np.flatnonzero(~varies):
        if not close(got[:, column], want[:, column], 0.02):  # (codes - mean) / (std + 1e-6) is near enough
            lines = comparison(f"a column of {codes[0, column]:g}", got[:3, column], want[:3, column])
            hint = "0 where all values of a column are equal; their standard deviation may be rounded to more than 0"
            return 4, f"a column that never varies does not become 0{lines}", hint
    return 6, "right", ""


FLIPS = (  # the labels of the first images, and what is known of them
    "00000 00000", "11111 00000", "01010 00000", "10110 00000", "10000 00000", "01111 00000", "11000 00000",
    "00001 00000", "11110 00000", "101 101", "01000 11101", "110 101", "011 111", "1 0", "0000011 1111000",
)  # fmt: skip


def flip_inputs(rng: np.random.Generator) -> Arrays:
    """All right, all wrong, first or last alone right or wrong, half and half; then known labels that are not all 0."""
    arrays = {}
    for i, case in enumerate(FLIPS):
        front, known = (np.array([int(digit) for digit in digits]) for digits in case.split())
        arrays |= {f"labels_{i}": np.append(front, rng.integers(0, 2, size=9)), f"known_{i}": known}
    return arrays


def judge_flip(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    wrong, score = [], 2
    for i in cases(inputs, "labels"):
        labels, known, got = inputs[f"labels_{i}"], inputs[f"known_{i}"], get(answers, f"flipped_{i}")
        want = min((labels, 1 - labels), key=lambda way: int((way[: len(known)] != known).sum()))
        if not np.array_equal(got, want):
            wrong.append(comparison(f"labels {shown(labels)}, known {shown(known)}", got, want))
            score = 0 if len(known) == 5 and not known.any() else score
    if not wrong:
        return 4, "right", ""
    hint = "exchange 0 and 1 for all images where more than half of the first ones are wrong; never for some"
    return score, f"wrong in {len(wrong)} of {len(FLIPS)} cases{wrong[0]}", hint


def consensus_inputs(rng: np.random.Generator) -> Arrays:
    """By hand: three rows, one exchanged. Then noisy rows of one truth, the third time with a row of nothing but noise.

    The last three: an even number of rows with ties, which go to the first, and three rows of bytes.
    """
    arrays = {"labellings_0": np.array([[0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]])}
    for i, (m, noise) in enumerate([(5, 0.1), (7, 0.2)], start=1):
        truth = rng.integers(0, 2, size=60)
        rows = np.array([truth ^ (rng.uniform(size=60) < noise) for _ in range(m)])
        rows[-1] = rng.integers(0, 2, size=60) if i == 2 else rows[-1]
        exchanged = rng.permutation(np.arange(m) % 2).astype(bool)
        rows[exchanged] = 1 - rows[exchanged]
        arrays[f"labellings_{i}"] = rows
    arrays["labellings_3"] = np.array([[0, 1, 1, 0, 1, 0, 1, 0], [1, 0, 0, 1, 0, 0, 1, 1]])
    arrays["labellings_4"] = np.array([[1, 1, 0, 0, 1, 0], [1, 1, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]])
    arrays["labellings_5"] = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 1, 1]], np.uint8)
    return arrays


def majority(labellings: np.ndarray) -> np.ndarray:
    """The vote under those exchanges of rows that make the votes clearest, of all; ties go to the first row."""
    signs = 2 * labellings.astype(int) - 1
    ways = (np.array([1, *rest]) @ signs for rest in itertools.product((-1, 1), repeat=len(signs) - 1))
    votes = max(ways, key=lambda votes: (votes**2).sum())
    return np.where(votes == 0, labellings[0], votes > 0).astype(int)


TURN = "exchange 0 and 1 in a row that disagrees with the reference in more than half; then the majority"
TIES = "ties go to the reference, the first of the rows that are most like all the others"
CONSENSUS_PARTS = (  # the points that are left where the case is wrong, and a hint
    (0, TURN), (2, TURN), (2, "the reference is the row most like all the others"), (6, TIES), (6, TIES),
    (6, "in bytes, 0 - 1 is 255: labellings.astype(int) first"),
)  # fmt: skip


def judge_consensus(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    wrong = []
    for i, (left, hint) in enumerate(CONSENSUS_PARTS):
        labellings, got = inputs[f"labellings_{i}"], get(answers, f"agreed_{i}")
        want = majority(labellings)
        noise = 3 if i == 2 else 0  # a row of nothing else may be turned either way, which moves a vote or two
        formed = got.shape == want.shape and np.isin(got, (0, 1)).all()
        if formed and min((got != want).sum(), (got == want).sum()) <= noise:
            continue
        if i < 3 and np.array_equal(got, labellings.mean(axis=0) > 0.5):
            wrong.append((2, "rows whose 0 and 1 are exchanged vote against the others", TURN))
            continue
        given = labellings.tolist() if labellings.size < 40 else f"{len(labellings)} noisy labellings of one truth"
        wrong.append((left, f"wrong{comparison(f'{labellings.dtype} {given}', got, want)} (or exchanged)", hint))
    return min(wrong, key=lambda fault: fault[0], default=(8, "right", ""))


QUESTIONS = {
    "autoencoder": Question("1.1 Convolutional autoencoder", 12, autoencoder_inputs, judge_autoencoder),
    "standardise": Question("2.1 Standard codes", 6, standardise_inputs, judge_standardise),
    "flip": Question("3.1 Flip rule", 4, flip_inputs, judge_flip),
    "consensus": Question("3.2 Consensus", 8, consensus_inputs, judge_consensus),
}
REGIONS = {
    "1.1 Convolutional autoencoder": "set self.encoder and self.decoder",
    "2.1 Standard codes": "return the codes with mean 0 and standard deviation 1 in every column",
    "3.1 Flip rule": "return the labels, with 0 and 1 exchanged where the known images say so",
    "3.2 Consensus": "return one labelling that most of the rows agree on",
}
