"""The questions on this lab's submission: what it is given, and what its answers are worth (30 points).

Judged by NumPy, SciPy and scikit-learn, never by a solution of the lab: the network is computed again from the weights
that it has, the training step by hand.
"""

import numpy as np
from scipy.special import expit, logit, xlogy

from grading.questions.common import ACTIVATIONS, Arrays, Question, close, dense_fault, descent, get, judgement

METHODS = {"pca": "PCA", "kernel_pca": "kernel PCA", "t_sne": "t-SNE", "lle": "LLE", "isomap": "Isomap"}
# t-SNE has no one right answer: how far neighbours in its plane are neighbours among the points. PCA reaches 0.83.
LEAST_TRUST = 0.88
PERPLEXITY = 30  # scikit-learn's default


def autoencoder_inputs(rng: np.random.Generator) -> Arrays:
    x, z = rng.uniform(size=(7, 30)), rng.normal(size=(7, 4))
    return {"sizes": np.array([30, 12, 4]), "x": x.astype(np.float32), "z": z.astype(np.float32)}


def judge_autoencoder(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    d_in, hidden, latent = (int(size) for size in inputs["sizes"])
    faults = []
    for side, widths, given, name, last in (
        ("encoder", (d_in, hidden, hidden, latent), "x", "codes", np.asarray),
        ("decoder", (latent, hidden, hidden, d_in), "z", "output", expit),
    ):
        fault = dense_fault(answers, side, widths, inputs[given], name, ACTIVATIONS["ReLU"], last)
        if not get(answers, f"{side}_is_float32").all():
            fault = f"the {side}'s parameters are not float32, as the pictures are", "leave dtype= out"
        faults += [fault] if fault else []
    return judgement(10 - 5 * len(faults), faults or [("the layers are right", "")])


def train_step_inputs(rng: np.random.Generator) -> Arrays:
    arrays = {"weight": rng.normal(size=(3, 3)), "learning_rate": np.array(0.5)}
    arrays |= {f"x_{i}": rng.uniform(0.1, 0.9, size=(4, 3)) for i in range(3)}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


STEP_SLIPS = [
    ({"accumulate": True}, "the gradients of earlier steps are added to each step", "zero_grad() before backward()"),
    ({"total": True}, "the loss is the sum over the pixels, not their mean", "leave reduction= out, or take the mean"),
    ({"loss": "swapped"}, "the loss compares the images with the output", "the output first, then the images"),
    ({"loss": "squares"}, "the loss is the squared error", "F.binary_cross_entropy, or nn.BCELoss()"),
    ({"loss": "logits"}, "the loss applies a second sigmoid to the output", "F.binary_cross_entropy, without logits"),
    ({"rate": -1}, "the step goes up: the loss grows", "cross-entropy has a minus in front"),
    ({"rate": 2}, "each call takes two steps", "optimizer.step() once"),
]


def cross_entropy(x: np.ndarray, weight: np.ndarray, total=False, loss="") -> tuple[float, np.ndarray]:
    """Binary cross-entropy of sigmoid(x W^T) and x, ``total`` or mean, and its gradient or another ``loss``'s."""
    p, scale = expit(x @ weight.T), 1 if total else x.size
    slope = p * (1 - p)
    wrong = {"swapped": -logit(x) * slope, "squares": 2 * (p - x) * slope, "logits": (expit(p) - x) * slope}
    return -(xlogy(x, p) + xlogy(1 - x, 1 - p)).sum() / scale, wrong.get(loss, p - x).T @ x / scale


def judge_train_step(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    return descent(inputs, answers, cross_entropy, STEP_SLIPS, without_loss=7, with_slip=5)


def projections_inputs(rng: np.random.Generator) -> Arrays:
    """A cloud in six dimensions: no plane holds it, so that the methods differ."""
    x = rng.normal(size=(150, 6)) * [2, 2, 1.5, 1.5, 1, 1]
    return {"x": x, "n_neighbors": np.array(9), "kernel_width": np.array(0.037)}


def judge_projections(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    from sklearn.decomposition import PCA, KernelPCA
    from sklearn.manifold import Isomap, LocallyLinearEmbedding, trustworthiness

    x, k, perplexity = inputs["x"], int(inputs["n_neighbors"]), get(answers, "t_sne_perplexity")
    planes = {
        "pca": PCA(2).fit_transform(x),
        "kernel_pca": KernelPCA(2, kernel="rbf", gamma=float(inputs["kernel_width"])).fit_transform(x),
        "lle": LocallyLinearEmbedding(n_components=2, n_neighbors=k).fit_transform(x),
        "isomap": Isomap(n_components=2, n_neighbors=k).fit_transform(x),
    }

    def same(got: np.ndarray, want: np.ndarray) -> bool:  # the sign of an axis is arbitrary
        return close(got * np.sign((got * want).sum(axis=0)), want, 1e-3 * np.abs(want).max())

    score, faults = 0, []
    for name, label in METHODS.items():
        got = get(answers, name)
        other = [METHODS[key] for key, plane in planes.items() if got.shape == plane.shape and same(got, plane)]
        if not got.size:
            faults.append((f'"{label}" is missing', "a dict with an object under each of the five names"))
        elif got.shape != (len(x), 2) or not np.isfinite(got).all():
            faults.append((f"{label}: shape {got.shape}, wanted is ({len(x)}, 2), finite", "two dimensions each"))
        elif other and label not in other:
            faults.append((f'under the name "{label}" stands {other[0]}', "each method under its own name"))
        elif name in planes and not other:
            hint = "gamma=kernel_width for kernel PCA; n_neighbors for LLE and Isomap; all else as scikit-learn has it"
            faults.append((f"{label} has other settings than were asked for", hint))
        elif name == "t_sne" and (trust := trustworthiness(x, got, n_neighbors=k)) < LEAST_TRUST:
            faults.append((f"{label} tears neighbours apart (trustworthiness {trust:.2f})", "TSNE of scikit-learn"))
        elif name == "t_sne" and perplexity.size and perplexity != PERPLEXITY:
            faults.append((f"{label} has perplexity {perplexity:g}", f"leave the default, {PERPLEXITY}"))
        else:
            score += 2
    return judgement(score, faults or [("all five are right", "")])


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
