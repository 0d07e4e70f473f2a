"""The questions on this lab's submission: what it is given, and what its answers are worth (30 points).

Judged by NumPy, SciPy and scikit-learn, never by a solution of the lab: the network is computed again from the weights
that it has, the training step by hand.
"""

from itertools import pairwise

import numpy as np
from scipy.special import expit, xlogy

from grading.questions.common import Arrays, Question, close, get, shown

FLOAT32 = 1e-5  # absolute, on numbers of about 1
# Of t-SNE and LLE, which have no one right answer: how far neighbours in the plane are neighbours among the codes.
LEAST_TRUST = {"t_sne": 0.9, "lle": 0.6}


def autoencoder_inputs(rng: np.random.Generator) -> Arrays:
    return {"sizes": np.array([30, 12, 4]), "x": rng.uniform(size=(7, 30)).astype(np.float32).astype(np.float64)}


def judge_autoencoder(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    d_in, hidden, latent = (int(size) for size in inputs["sizes"])
    codes, output = get(answers, "codes"), get(answers, "output")
    score, faults, hints = 0, [], []
    for side, sizes, given, got in (
        ("encoder", (d_in, hidden, hidden, latent), inputs["x"], codes),
        ("decoder", (latent, hidden, hidden, d_in), codes, output),
    ):
        count = sum(f"{side}_weight" in key for key in answers)
        layers = [tuple(get(answers, f"{side}_{what}_{i}") for what in ("weight", "bias")) for i in range(count)]
        if [(w.shape, b.shape) for w, b in layers] != [((b, a), (b,)) for a, b in pairwise(sizes)]:
            found, chain = [w.shape[::-1] for w, _ in layers], "-".join(map(str, sizes))
            faults.append(f"the {side}'s dense layers are {found}, not those of {chain}, each with its bias")
            hints.append(f"three nn.Linear in the {side}, in that order, with nn.Linear's bias")
            continue
        x = given.reshape(-1, sizes[0]) if given.size else np.zeros((7, sizes[0]))
        for i, (weight, bias) in enumerate(layers):
            x = x @ weight.T + bias
            if i < 2:
                x = np.maximum(x, 0)
        want = expit(x) if side == "decoder" else x
        if close(got, want, FLOAT32):
            score += 5
            continue
        if close(got, x, FLOAT32):
            faults.append("the decoder's output is not a pixel: its sigmoid is missing")
        else:
            row = got[0] if got.shape == want.shape else got
            faults.append(f"the {side} computes something else\ngot: {shown(row)}\nwant: {shown(want[0])}")
        last = "none after the last" if side == "encoder" else "sigmoid last"
        hints.append(f"relu between the layers, {last}")
    return score, "; ".join(faults) or "the layers are right", "; ".join(hints)


def train_step_inputs(rng: np.random.Generator) -> Arrays:
    arrays = {"weight": rng.normal(size=(3, 3)), "learning_rate": np.array(0.5)}
    arrays |= {f"x_{i}": rng.uniform(0.1, 0.9, size=(4, 3)) for i in range(3)}
    return arrays


def three_steps(inputs: Arrays, accumulate: bool = False, total: bool = False) -> tuple[list, list]:
    """Losses and weights of three steps of gradient descent on sigmoid(x W^T), the gradient by hand.

    ``accumulate`` keeps the gradients of earlier steps, ``total`` takes the sum over pixels instead of the mean.
    """
    weight, kept = inputs["weight"], 0
    losses, weights = [], []
    for i in range(3):
        x = inputs[f"x_{i}"]
        p = expit(x @ weight.T)
        scale = 1 if total else x.size
        losses.append(-(xlogy(x, p) + xlogy(1 - x, 1 - p)).sum() / scale)
        gradient = (p - x).T @ x / scale
        kept = kept + gradient if accumulate else gradient
        weight = weight - inputs["learning_rate"] * kept
        weights.append(weight)
    return losses, weights


def judge_train_step(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    losses, weights = ([get(answers, f"{name}_{i}") for i in range(3)] for name in ("loss", "weight"))

    def same(found: list, wanted: list) -> bool:
        return all(close(f.reshape(np.shape(w)), np.asarray(w), FLOAT32) for f, w in zip(found, wanted, strict=True))

    if any(loss.size != 1 for loss in losses):
        return 0, "train_step does not return a number", "return loss.item()"
    if any(weight.shape != (3, 3) for weight in weights):
        return 0, "the network's weights were replaced", "let the optimizer change them: optimizer.step()"
    want_losses, want_weights = three_steps(inputs)
    start = 2 if same(losses[:1], want_losses[:1]) else 0
    if same(weights, want_weights):
        if same(losses, want_losses):
            return 10, "the step is right", ""
        message = f"the weights are right, the loss returned is not\ngot: {losses[0]}\nwant: {want_losses[0]}"
        return 7, message, "return the mean over all N x D pixels, before the step"
    if same(weights, three_steps(inputs, accumulate=True)[1]):
        message = "the gradients of earlier steps are added to each step's own"
        return 5, message, "optimizer.zero_grad() before backward()"
    if same(weights, [inputs["weight"]] * 3):
        return start, "the weights do not change", "loss.backward(), then optimizer.step()"
    if same(weights, three_steps(inputs, total=True)[1]):
        return 5, "the loss is the sum over the pixels, not their mean", "F.binary_cross_entropy's default is the mean"
    lines = f"\ngot: {shown(weights[0])}\nwant: {shown(want_weights[0])}"
    hint = "binary cross-entropy of autoencoder(images) against images, in this order; one step"
    return start, f"the weights after the first step are wrong{lines}", hint


def projections_inputs(rng: np.random.Generator) -> Arrays:
    """A curved sheet in four dimensions, so that the methods differ."""
    angle, height = rng.uniform(0, 3, size=120), rng.uniform(-1, 1, size=120)
    x = np.stack([np.cos(angle), np.sin(angle), height, 0.3 * height**2], axis=1) * [2, 2, 1.5, 1]
    return {"x": x, "n_neighbors": np.array(9), "kernel_width": np.array(0.37)}


def judge_projections(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    from sklearn.decomposition import PCA, KernelPCA
    from sklearn.manifold import Isomap, trustworthiness

    x, k = inputs["x"], int(inputs["n_neighbors"])
    oracles = {
        "pca": PCA(2),
        "kernel_pca": KernelPCA(2, kernel="rbf", gamma=float(inputs["kernel_width"])),
        "isomap": Isomap(n_components=2, n_neighbors=k),
    }
    score, faults = 0, []
    for name in ("pca", "kernel_pca", "t_sne", "lle", "isomap"):
        got = get(answers, name)
        if got.shape != (len(x), 2) or not np.isfinite(got).all():
            faults.append(f"{name}: no plane of shape ({len(x)}, 2)" if got.size else f"{name} is missing")
            continue
        if name in oracles:
            want = oracles[name].fit_transform(x)
            signs = np.sign((got * want).sum(axis=0))  # the sign of an axis is arbitrary
            right = close(got * signs, want, 1e-4 * np.abs(want).max())
            fault = "other settings than were asked for"
        else:
            trust = trustworthiness(x, got, n_neighbors=k)
            right, fault = trust >= LEAST_TRUST[name], f"neighbours are torn apart (trustworthiness {trust:.2f})"
        if right:
            score += 2
        else:
            faults.append(f"{name}: {fault}")
    hint = "two dimensions each; gamma=kernel_width for kernel PCA; n_neighbors for LLE and Isomap"
    return score, "; ".join(faults) or "all five are right", hint


QUESTIONS = {
    "autoencoder": Question("1.1 Dense autoencoder", 10, autoencoder_inputs, judge_autoencoder),
    "train_step": Question("1.2 Training step", 10, train_step_inputs, judge_train_step),
    "projections": Question("2.1 Projections", 10, projections_inputs, judge_projections),
}
REGIONS = {
    "1.1 Dense autoencoder": "set self.encoder and self.decoder",
    "1.2 Training step": "compute the loss, take one step of the optimizer and return the loss",
    "2.1 Projections": "return the five methods by name",
}
