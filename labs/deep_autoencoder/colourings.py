"""The bonus question (10 points): hidden colourings of small digits, and what scores of them are worth.

The palette, the places of the digits, the severity and the share of odd ones change from set to set. Nothing in a score
is compared but its order, over all classes together.
"""

import hashlib

import numpy as np

from grading.questions.common import Arrays, get, judgement
from hi_mnist.data import N_CLASSES
from labs.deep_autoencoder import colored

SETS = ((1, 0.1), (3, 0.05), (5, 0.02), (1, 0.005))  # severity, and share of odd ones
WORTHLESS, BEST = 0.35, 0.97  # mean of recall and area: neighbours on grey pixels reach the one, our own way the other
ODD: dict[bytes, np.ndarray] = {}  # by the pictures' hash: not among the inputs, which the student's process holds
LEAST_APART = 0.45  # two colours of a palette, in RGB from 0 to 1


def palette(rng: np.random.Generator) -> np.ndarray:
    """Colours that can be told apart, none of them nearly black: float32 (10, 3), RGB in [0, 1]."""
    found: list[np.ndarray] = []
    while len(found) < N_CLASSES:
        colour = rng.uniform(0.05, 1, size=3)
        if colour.max() > 0.5 and all(np.linalg.norm(colour - other) >= LEAST_APART for other in found):
            found.append(colour)
        elif rng.random() < 0.002:  # no room is left
            found = []
    return np.array(found, np.float32)


def inputs(rng: np.random.Generator) -> Arrays:
    """scikit-learn's digits, each at another place of its picture, in the colourings of ``SETS``."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = np.rint(np.kron(digits.images, np.ones((1, 2, 2))) * (255 / 16)).astype(np.uint8)
    arrays = {}
    for i, (severity, share) in enumerate(SETS):
        images = np.zeros((len(small), 1, 28, 28), np.uint8)
        for picture, digit, (top, left) in zip(images, small, rng.integers(0, 13, size=(len(small), 2)), strict=True):
            picture[0, top : top + 16, left : left + 16] = digit
        coloured = colored.colorize(images, digits.target, severity, int(rng.integers(2**32)), 1 - share, palette(rng))
        pictures = np.ascontiguousarray(coloured.images.transpose(0, 2, 3, 1))
        arrays |= {f"images_{i}": pictures, f"labels_{i}": coloured.labels.astype(np.int64)}
        ODD[hashlib.sha256(pictures).digest()] = coloured.conflicting
    return arrays


def judge(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    """A quarter of the points for each set, by the mean of recall (as many flagged as are odd) and area."""
    from sklearn.metrics import roc_auc_score

    points, faults = 0.0, []
    for i, (severity, share) in enumerate(SETS):
        scores, odd = get(answers, f"scores_{i}"), ODD[hashlib.sha256(inputs[f"images_{i}"]).digest()]
        if scores.shape != odd.shape or not np.isfinite(scores).all():
            told = f"scores of shape {scores.shape}, wanted are finite numbers of shape {odd.shape}"
            return 0, told, "one number for each image"
        recall = colored.recall(colored.flag(scores, odd.mean()), odd)
        area = float(roc_auc_score(odd, scores))
        points += 10 / len(SETS) * np.clip(((recall + area) / 2 - WORTHLESS) / (BEST - WORTHLESS), 0, 1)
        told = f"severity {severity}, {share:.1%} odd: recall {recall:.2f}, area under the ROC curve {area:.2f}"
        faults.append((told, ""))
    if points > 9.99:
        return 10, "the odd colours are found", ""
    faults[-1] = faults[-1][0], "what has one image of a class in common with the others, if shape is left aside?"
    return judgement(round(points, 1), faults)
