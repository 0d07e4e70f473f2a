"""What the questions share: their form, reading answers safely, and comparing and showing numbers.

The companion labs' questions on networks share ``explained``, ``activation_fault``, ``dense_fault`` and ``descent``.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy.special

from hi_mnist.files import Arrays

MOMENT_TOLERANCE = 3e-5  # relative to the largest entry
FLOAT32 = 1e-5  # absolute, on numbers of about 1 that float32 computed
Slips = list[tuple[dict, str, str]]
ACTIVATIONS = {
    "no function": np.asarray, "ReLU": lambda x: np.maximum(x, 0), "tanh": np.tanh, "a sigmoid": scipy.special.expit
}  # fmt: skip


class Question(NamedTuple):
    label: str
    points: int
    inputs: Callable[[np.random.Generator], Arrays]
    judge: Callable[[Arrays, Arrays], tuple[float, str, str]]  # inputs, answers -> score, message, hint
    bonus: bool = False  # its points come on top of the lab's


def question(name: str, label: str, points: int) -> dict:
    """An entry of ``questions`` in grade.json, without a verdict."""
    return {"id": name, "label": label, "points": points, "score": 0.0, "verdict": "", "message": "", "hint": ""}


def cases(arrays: Arrays, name: str) -> range:
    """The numbers i of the arrays ``NAME_i``."""
    return range(sum(key.startswith(f"{name}_") for key in arrays))


def get(answers: Arrays, name: str) -> np.ndarray:
    """An answer as float64; empty if it is missing, or complex with a significant imaginary part."""
    array = answers.get(name, np.zeros(0))
    if array.dtype.kind == "c":
        if array.size and np.abs(array.imag).max() > 1e-6 * np.abs(array).max():
            return np.zeros(0)
        array = array.real
    return array.astype(np.float64)


def close(got: np.ndarray, want: np.ndarray, tolerance: float) -> bool:
    """Whether the shapes are equal and no entries differ by more than ``tolerance``; NaN is never close."""
    return got.shape == want.shape and bool((np.abs(got - want) <= tolerance).all())


def explained(got: np.ndarray, known: list[tuple], tolerance: float) -> list | None:
    """What is told of the first known answer that this one is close to: what follows that answer in its row."""
    return next((told for its, *told in known if close(got, np.asarray(its), tolerance)), None)


def recognised(got: list[np.ndarray], known: list[list[tuple]], tolerances: list[float]) -> list | None:
    """The first known mistake that explains the answers to all cases: in each, what follows the mistake's answer.

    An answer may hold NaN or infinity: then only what is finite on both sides counts.
    """
    for slip in zip(*known, strict=True):
        for mine, (its, *_), tolerance in zip(got, slip, tolerances, strict=True):
            both = np.isfinite(mine) & np.isfinite(its) if mine.shape == its.shape else None
            if both is None or not close(mine[both], its[both], tolerance):
                break
        else:
            return [told for _, *told in slip]
    return None


def moments_close(got: np.ndarray, want: np.ndarray) -> bool:
    return close(got, want, MOMENT_TOLERANCE * np.abs(want).max())


def changed(inputs: Arrays, answers: Arrays, name: str = "x") -> bool:
    """Whether the code changed its input data."""
    every = cases(inputs, name)
    return not all(np.array_equal(get(answers, f"{name}_after_{i}"), inputs[f"{name}_{i}"]) for i in every)


def shown(array: np.ndarray) -> str:
    """An array on one line; large arrays are cut, and arrays of more than three axes show their shape only."""
    if array.ndim > 3:
        return f"an array of shape {array.shape}"
    return np.array2string(array, precision=4, suppress_small=True, threshold=30, separator=", ").replace("\n", "")


def comparison(given: str, got: np.ndarray, want: np.ndarray) -> str:
    """The lines that follow a message about a wrong number; where the shapes differ, they say so."""
    shapes = [""] * 2 if got.shape == want.shape else [f"shape {array.shape}, " for array in (got, want)]
    return f"\ninput: {given}\ngot: {shapes[0]}{shown(got)}\nwant: {shapes[1]}{shown(want)}"


def activation_fault(side: str, got: np.ndarray, passed: Callable, last: Callable) -> tuple[str, str] | None:
    """What is wrong between and after the layers of a network's ``side``, and a hint; None where nothing is.

    ``passed(inner, last)`` is what they give with these functions between and after them; ``last`` is the right one,
    the right one between them is the default of ``passed``.
    """
    right = passed(last=last)
    if close(got, right, 10 * FLOAT32):
        return None
    hint = "look at what stands between the layers and after the last one"
    for name, function in ACTIVATIONS.items():
        if close(got, passed(last=function), 10 * FLOAT32):
            return f"the {side} ends with {name}", hint
        if close(got, passed(inner=function, last=last), 10 * FLOAT32):
            return f"the {side} has {name} between its layers", hint
    lines = comparison("the first image", got[:1], right[:1])
    return f"the {side} computes something else than its layers{lines}", hint


def dense_fault(answers: Arrays, side: str, widths: tuple, x: np.ndarray, output: str, inner, last) -> tuple | None:
    """What is wrong with one side of a network of dense layers, and a hint; None where nothing is.

    ``answers`` hold its ``SIDE_weight_i`` (out, in) and ``SIDE_bias_i``, and under ``output`` what it made of x;
    ``widths`` are wanted from the input on, ``inner`` and ``last`` stand between the layers and after them.
    """
    every = cases(answers, f"{side}_weight")
    layers = [[get(answers, f"{side}_{what}_{i}") for what in ("weight", "bias")] for i in every]
    if [(w.shape, b.shape) for w, b in layers] != [((b, a), (b,)) for a, b in pairwise(widths)]:
        found = ", ".join("-".join(map(str, weight.shape[::-1])) for weight, _ in layers) or "none"
        told = f"the {side}'s dense layers are {found}, wanted are {'-'.join(map(str, widths))}, each with its bias"
        return told, "one layer for each pair of neighbours in this chain, in order; the decoder mirrors the encoder"

    def passed(inner=inner, last=last) -> np.ndarray:
        rows = x
        for weight, bias in layers[:-1]:
            rows = inner(rows @ weight.T + bias)
        return last(rows @ layers[-1][0].T + layers[-1][1])

    return activation_fault(side, get(answers, output), passed, last)


def descent(
    inputs: Arrays, answers: Arrays, gradient: Callable, slips: Slips, *, without_loss: int, with_slip: int
) -> tuple[float, str, str]:
    """Judge some steps of gradient descent, each a call of ``train_step`` that returns its loss: 10 points.

    ``inputs`` are the ``weight``, the batches ``x_i`` and the ``learning_rate``, ``answers`` the ``loss_i`` that each
    call returned and ``weight_i`` after it. ``gradient(x, weight)`` gives the right loss and its gradient. A slip is
    keywords of ``gradient``, ``accumulate`` (gradients are added to those before) or ``rate`` (a factor of the learning
    rate), a message and a hint. The points are those of right steps that return something else, and of a slip.
    """
    steps = cases(inputs, "x")
    told, after = ([get(answers, f"{name}_{i}") for i in steps] for name in ("loss", "weight"))
    told = [loss.reshape(()) if loss.size == 1 else loss for loss in told]

    def descend(accumulate=False, rate=1, **how) -> tuple[list, list]:
        weight, kept, losses, weights = inputs["weight"].astype(np.float64), 0, [], []
        for i in steps:
            loss, slope = gradient(inputs[f"x_{i}"].astype(np.float64), weight, **how)
            kept = kept * accumulate + slope
            weight = weight - rate * inputs["learning_rate"] * kept
            losses.append(np.float64(loss))
            weights.append(weight)
        return losses, weights

    def same(found: list[np.ndarray], wanted: list) -> bool:
        return all(close(f, w, FLOAT32 * max(1, np.abs(w).max())) for f, w in zip(found, wanted, strict=True))

    losses, weights = descend()
    first = 2 if same(told[:1], losses[:1]) else 0
    if same(after, weights) and same(told, losses):
        return 10, "the steps are right", ""
    if same(after, weights):
        lines = comparison("the first batch", told[0], losses[0])
        return without_loss, f"the parameters are right, the loss returned is not{lines}", "the loss before the step"
    if same(after, [inputs["weight"]] * len(steps)):
        return first, "no parameter changes", "zero_grad(), then loss.backward(), then optimizer.step()"
    for slip, message, hint in slips:
        if same(after, descend(**slip)[1]):
            return with_slip, message, hint
    told = f"the parameters after the step are wrong{comparison('the first batch', after[0], weights[0])}"
    return first, told, "loss, zero_grad(), backward(), step(), once each"


def judgement(points: float, faults: list[tuple[str, str]]) -> tuple[float, str, str]:
    """Points with the causes of all faults, (cause, hint) pairs, one per line, and their distinct hints."""
    hints = dict.fromkeys(hint for _, hint in faults if hint)
    return points, "\n".join(cause for cause, _ in faults), "; ".join(hints)


def covariances(rng: np.random.Generator, k: int, d: int, scale: float) -> np.ndarray:
    """K well-conditioned covariances with variances of about ``scale`` squared: float64 (K, D, D)."""
    directions = np.array([np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(k)])
    variances = (scale * rng.uniform(0.5, 1.5, size=(k, d))) ** 2
    return np.einsum("kij,kj,klj->kil", directions, variances, directions)


def weights(rng: np.random.Generator, k: int) -> np.ndarray:
    """K mixing weights of clearly different size: float64 (K,)."""
    raw = rng.permutation(np.geomspace(1, 6, k))
    return raw / raw.sum()
