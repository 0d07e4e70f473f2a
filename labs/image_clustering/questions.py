"""The questions on this lab's submission: what it is given, and what its answers are worth (30 points).

Judged by torch's functions on the parameters that the network has, by scikit-learn, and by trying all exchanges; never
by a solution of the lab.
"""

import itertools

import numpy as np

from grading.questions.common import Arrays, Question, close, comparison, get, shown

FLOAT32 = 1e-4  # absolute, on numbers of about 1
SHAPES = {"encoder": [(8, 3, 3, 3), (8,), (16, 8, 3, 3), (16,)], "decoder": [(16, 8, 2, 2), (8,), (8, 3, 2, 2), (3,)]}


def autoencoder_inputs(rng: np.random.Generator) -> Arrays:
    return {"x": rng.uniform(-1, 1, size=(3, 3, 32, 32)).astype(np.float32).astype(np.float64)}


def recomputed(side: str, x: np.ndarray, parameters: list[np.ndarray], relu: bool) -> np.ndarray:
    """What one side of the network makes of ``x`` by torch's functions; the decoder before its tanh."""
    import torch
    import torch.nn.functional as F

    x, *p = (torch.from_numpy(array) for array in (x, *parameters))

    def layer(x, weight, bias):
        if side == "encoder":
            return F.conv2d(x, weight, bias, stride=2, padding=1)
        return F.conv_transpose2d(x, weight, bias, stride=2)

    inner = layer(x, *p[:2])
    return layer(inner.relu() if relu else inner, *p[2:]).numpy()


def fault_of(side: str, activation: str, inputs: Arrays, answers: Arrays) -> tuple[str, str] | None:
    """What is wrong with one side of the network, and a hint; None where nothing is."""
    count = sum(key.startswith(f"{activation}_{side}_") for key in answers)
    parameters = [get(answers, f"{activation}_{side}_{i}") for i in range(count)]
    if (found := [parameter.shape for parameter in parameters]) != SHAPES[side]:
        hint = f"two layers in the {side}, with the channels of the text"
        return f"the {side}'s parameters have the shapes {found}, wanted are {SHAPES[side]}", hint
    codes = get(answers, f"{activation}_codes")
    if codes.shape != (3, 16, 8, 8):
        hint = "stride 2 twice; kernels of 3 with padding 1 in the encoder, of 2 in the decoder"
        return f"three images have codes of shape {codes.shape}, wanted is (3, 16, 8, 8)", hint
    given, got = (inputs["x"], codes) if side == "encoder" else (codes, get(answers, f"{activation}_output"))
    want = recomputed(side, given, parameters, activation == "relu")
    if close(got, want if side == "encoder" else np.tanh(want), FLOAT32):
        return None
    if side == "decoder" and close(got, want, FLOAT32):
        return "the decoder's tanh is missing", "images run from -1 to 1: nn.Tanh() last"
    what = "with relu" if activation == "relu" else "without activation"
    hint = "one inner() between the two layers of each side; no other layers"
    return f"the {side} computes something else {what}\ngot: {shown(got[:1, 0, 0])}", hint


def judge_autoencoder(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    sides = [[fault_of(side, way, inputs, answers) for way in ("none", "relu")] for side in SHAPES]
    first = [next(filter(None, faults)) for faults in sides if any(faults)] or [("the layers are right", "")]
    message, hint = ("; ".join(dict.fromkeys(texts)) for texts in zip(*first, strict=True))
    return sum(6 for faults in sides if not any(faults)), message, hint


def standardise_inputs(rng: np.random.Generator) -> Arrays:
    codes = rng.normal(size=(40, 6)) * rng.uniform(0.5, 30, size=6) + rng.normal(size=6) * 10
    codes[:, 2] = 3.0
    return {"codes": codes}


def judge_standardise(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    from sklearn.preprocessing import StandardScaler

    codes, got = inputs["codes"], get(answers, "z")
    want = StandardScaler().fit_transform(codes)
    if got.shape != want.shape:
        return 0, f"the result has shape {got.shape}, wanted is {want.shape}", "return an array of the codes' shape"
    varies = codes.std(axis=0) > 0
    n = len(codes)
    ways = [want, want * np.sqrt((n - 1) / n)]  # by N or N - 1
    if not any(close(got[:, varies], way[:, varies], FLOAT32) for way in ways):
        if close(got, (codes - codes.mean()) / codes.std(), FLOAT32):
            return 2, "the whole array was standardised at once, not each column", "mean and std along axis 0"
        lines = f"\ngot: {shown(got[0])}\nwant: {shown(want[0])}"
        return 0, f"columns have not mean 0 and standard deviation 1{lines}", "(codes - mean) / std, along axis 0"
    if not close(got[:, ~varies], want[:, ~varies], FLOAT32):
        hint = "divide by 1 where the standard deviation is 0"
        return 4, "a column that never varies does not become 0: NaN would stop the clustering", hint
    return 6, "right", ""


def flip_inputs(rng: np.random.Generator) -> Arrays:
    """By hand: all right, all wrong, two of five wrong, three of five wrong; known labels that are not all zero."""
    cases = ("00000 00000", "11111 00000", "01010 00000", "10110 00000", "101 101", "01000 11101")
    arrays = {}
    for i, case in enumerate(cases):
        front, known = (np.array([int(digit) for digit in digits]) for digits in case.split())
        arrays |= {f"labels_{i}": np.append(front, rng.integers(0, 2, size=9)), f"known_{i}": known}
    return arrays


def judge_flip(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    wrong = {}
    for i in range(6):
        labels, known, got = inputs[f"labels_{i}"], inputs[f"known_{i}"], get(answers, f"flipped_{i}")
        want = min((labels, 1 - labels), key=lambda way: int((way[: len(known)] != known).sum()))
        if not np.array_equal(got, want):
            wrong[i] = comparison(f"labels {shown(labels)}, known {shown(known)}", got, want)
    if not wrong:
        return 4, "right", ""
    score = 2 if wrong.keys() <= {4, 5} else 0
    hint = "exchange 0 and 1 for all images where more than half of the first ones are wrong; never for some"
    return score, f"wrong in {len(wrong)} of 6 cases{next(iter(wrong.values()))}", hint


def consensus_inputs(rng: np.random.Generator) -> Arrays:
    """By hand: three rows, one exchanged; then five noisy ones of one truth, and one row that is nothing but noise."""
    arrays = {"labellings_0": np.array([[0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]])}
    for i, (m, noise) in enumerate([(5, 0.1), (7, 0.2)], start=1):
        truth = rng.integers(0, 2, size=60)
        rows = np.array([truth ^ (rng.uniform(size=60) < noise) for _ in range(m)])
        rows[-1] = rng.integers(0, 2, size=60) if i == 2 else rows[-1]
        exchanged = rng.permutation(np.arange(m) % 2).astype(bool)
        rows[exchanged] = 1 - rows[exchanged]
        arrays[f"labellings_{i}"] = rows
    return arrays


def majority(labellings: np.ndarray) -> np.ndarray:
    """The vote under those exchanges of rows that make the votes clearest, found by trying all; M is odd."""
    signs = 2 * labellings - 1
    ways = (np.array([1, *rest]) @ signs for rest in itertools.product((-1, 1), repeat=len(signs) - 1))
    return (max(ways, key=lambda votes: (votes**2).sum()) > 0).astype(int)


def judge_consensus(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    for i in range(3):
        labellings, got = inputs[f"labellings_{i}"], get(answers, f"agreed_{i}")
        want, n = majority(labellings), labellings.shape[1]
        if got.shape != (n,) or not np.isin(got, (0, 1)).all():
            return 0, f"the result is not an array of {n} zeros and ones", "one label for each image"
        wrong = min(int((got != want).sum()), int((got == want).sum()))
        # A row of pure noise may be turned either way, which moves a vote or two.
        if wrong > (0 if i < 2 else 3):
            plain = (labellings.mean(axis=0) > 0.5).astype(int)
            if np.array_equal(got, plain):
                hint = "bring every row to agree with one of them first"
                return 2, "rows whose 0 and 1 are exchanged vote against the others", hint
            lines = f"\ngot: {shown(got)}\nwant: {shown(want)} (or exchanged)"
            given = f"\ninput: {labellings.tolist()}" if i == 0 else f" in case {i}, {len(labellings)} labellings"
            hint = "exchange 0 and 1 in a row that disagrees with the reference in more than half; then the majority"
            return 0 if i == 0 else 2, f"wrong{given}{lines}", hint
    return 8, "right", ""


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
