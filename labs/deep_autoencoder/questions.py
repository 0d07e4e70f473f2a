"""The questions on this lab's submission: what it is given, and what its answers are worth (92 points).

8 more are given by hand. Contrastive divergence is judged by enumerating every state of the hidden units of a small
machine; the rest by NumPy, and never by a solution of the lab.
"""

import itertools

import numpy as np
from scipy.special import expit

from grading.questions.common import Arrays, Question, close, comparison, get, shown

FLOAT32 = 1e-5  # absolute, on numbers of about 1
NOISE = 6  # standard deviations that a mean over draws may lie from its expectation
PARAMETERS = ("fc", "bias_v", "bias_h")
BY_HAND = 8


def as_float32(array: np.ndarray) -> np.ndarray:
    """The numbers that the submission gets: float32 values as float64."""
    return np.asarray(array, np.float32).astype(np.float64)


def data_inputs(rng) -> Arrays:
    arrays = {"batch_size": np.array(16), "num_workers": np.array(2)}
    for split, n in (("train", 75), ("test", 37)):
        images = rng.integers(0, 256, size=(n, 1, 28, 28), dtype=np.uint8)
        images[:, 0, 0, 0] = np.arange(n)  # each image can be told by its first pixel
        arrays |= {f"{split}_images": images, f"{split}_labels": rng.integers(0, 10, size=n)}
    return arrays


def judge_data(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    batch_size = int(inputs["batch_size"])
    x = {name: get(answers, f"{name}_x") for name in ("first", "second", "test", "again")}
    n = {name: len(inputs[f"{name}_images"]) for name in ("train", "test")}
    splits = {"first": "train", "test": "test"}
    for name, split in splits.items():
        if x[name].shape != (want := (n[split], 1, 28, 28)):
            message = f"an epoch of {split}_loader holds images of shape {x[name].shape}, wanted is {want}"
            return 0, message, "use all images, the last and smaller batch too, and keep their shape (B, 1, 28, 28)"
    scaled = close(x["test"], inputs["test_images"] / 255, FLOAT32)
    unscaled = not scaled and x["test"].max() > 2
    scale = 1 if unscaled else 255
    order = {name: np.rint(rows[:, 0, 0, 0] * scale).astype(int) for name, rows in x.items() if rows.ndim == 4}
    off = "the pixels of the test images are not those given, in their order, divided by 255"
    if unscaled:
        off = f"pixels run from {x['test'].min():g} to {x['test'].max():g}, wanted is 0 to 1"
    types = all(get(answers, f"{name}_is_float32").all() for name in splits)
    sizes = get(answers, "first_sizes").tolist(), get(answers, "test_sizes").tolist()
    want_sizes = tuple([batch_size] * (count // batch_size) + [count % batch_size] for count in n.values())
    batches = f"batches of {sizes[0][:2]} ... {sizes[0][-1:]} images, wanted are {batch_size}, and the rest at the end"
    whole = all(sorted(order[name]) == list(range(n["train"])) for name in ("first", "second") if name in order)
    shuffled = whole and not np.array_equal(order["first"], np.arange(n["train"]))
    anew = shuffled and not np.array_equal(order["first"], order.get("second"))
    repeats = anew and np.array_equal(order["first"], order.get("again"))
    labelled = all(
        np.array_equal(get(answers, f"{name}_y"), inputs[f"{split}_labels"][order[name]])
        for name, split in splits.items()
        if sorted(order[name]) == list(range(n[split]))
    )
    workers = get(answers, "num_workers").tolist() == [2, 2]
    parts = (
        (5, scaled, off, "images.float() / 255; the test images stay in order"),
        (2, types, "the batches are not float32", "convert the images with .float()"),
        (4, sizes == want_sizes, batches, "give batch_size to both loaders, and do not drop the last batch"),
        (4, anew, "train_loader does not shuffle anew in each epoch", "shuffle=True for the training images"),
        (2, repeats, "the same generator does not give the same order again", "give it to the training loader"),
        (2, labelled, "labels do not go with their images", "put images and labels into one TensorDataset"),
        (1, workers, "num_workers is not used", "give it to both loaders"),
    )
    faults = [texts for _, right, *texts in parts if not right] or [("both loaders are right", "")]
    return sum(points for points, right, *_ in parts if right), *map("; ".join, zip(*faults, strict=True))


def parameters_inputs(rng) -> Arrays:
    return {"n_visible": np.array(40), "n_hidden": np.array(25)}


def judge_parameters(inputs, answers) -> tuple[float, str, str]:
    v, h = int(inputs["n_visible"]), int(inputs["n_hidden"])
    for name, shape in {"fc": (v, h), "bias_v": (v,), "bias_h": (h,)}.items():
        got = get(answers, name)
        if got.shape != shape:
            return 0, f"{name} has shape {got.shape}, wanted is {shape}", f"RBM({v}, {h}) has {v} visible units"
        if not np.isfinite(got).all() or np.abs(got).max() > 2:
            return 0, f"{name} holds numbers up to {np.abs(got).max():g}", "begin with small numbers"
    fc = get(answers, "fc")
    if fc.std() == 0 or np.unique(fc).size < fc.size // 2:
        return 1, "all hidden units begin alike, and would stay alike", "begin fc with small random numbers"
    if not get(answers, "saved").all():
        return 2, "state_dict() lacks a parameter: it would not be saved", "wrap each in nn.Parameter(..., False)"
    if get(answers, "gradients").any():
        return 2, "a parameter asks for gradients, which CD changes in place", "requires_grad=False"
    return 3, "the parameters are right", ""


def small_machine(rng, v: int, h: int, scale: float = 1.5) -> dict[str, np.ndarray]:
    arrays = rng.normal(size=(v, h)) * scale, rng.normal(size=v), rng.normal(size=h)
    return dict(zip(PARAMETERS, map(as_float32, arrays), strict=True))


def sampling_inputs(rng) -> Arrays:
    p = np.repeat(np.array([[0.0, 0.1, 0.5, 0.8, 1.0]]), 4000, axis=0)
    return small_machine(rng, 3, 5) | {"p": p}


def judge_sampling(inputs, answers) -> tuple[float, str, str]:
    p, first, second = as_float32(inputs["p"]), get(answers, "first"), get(answers, "second")
    if first.shape != p.shape:
        return 0, f"a draw has shape {first.shape}, wanted is that of p, {p.shape}", "draw each entry by itself"
    if not np.isin(first, (0, 1)).all():
        return 0, "a draw holds other numbers than 0 and 1", "compare uniform random numbers with p"
    bound = NOISE * np.sqrt(p[0] * (1 - p[0]) / len(p)) + 1e-9
    if (np.abs(first.mean(axis=0) - p[0]) > bound).any():
        return 0, f"p = {shown(p[0])}, but the share of ones is {shown(first.mean(axis=0))}", "1 with probability p"
    inner = first[:, 1:4]
    alike = (inner == inner[0]).all() or (inner[:, 0] <= inner[:, 1]).all()
    if np.array_equal(first, second) or alike:
        return 2, "draws are not independent of each other", "a fresh random number for each entry: torch.rand_like(p)"
    if not np.array_equal(get(answers, "p_after"), p):
        return 2, "sample_p changes p in place", "work on a new tensor"
    return 4, "sampling is right", ""


def down_inputs(rng) -> Arrays:
    return small_machine(rng, 4, 3) | {"h": rng.integers(0, 2, size=(6, 3)).astype(float)}


def judge_down(inputs, answers) -> tuple[float, str, str]:
    fc, bias_v, h = (inputs[name] for name in ("fc", "bias_v", "h"))
    want, got = expit(h @ fc.T + bias_v), get(answers, "p_v")
    if close(got, want, FLOAT32):
        return 5, "p(v | h) is right", ""
    if close(got, h @ fc.T + bias_v, FLOAT32):
        return 2, "the logistic function is left out", "torch.sigmoid"
    if close(got, expit(h @ fc.T), FLOAT32):
        return 2, "bias_v is left out", "add it before the logistic function"
    given = f"h = {shown(h[0])}, fc = {shown(fc)}, bias_v = {shown(bias_v)}"
    lines = comparison(given, got[0] if got.shape == want.shape else got, want[0])
    return 0, f"p(v | h) is wrong{lines}", "the same fc as upwards, transposed, and bias_v"


CD_CASES = ((4, 3, 1), (5, 3, 2))  # V, H, k
CD_TIMES, CD_COPIES = 40, 400


def cd_inputs(rng) -> Arrays:
    arrays = {"cases": np.array(len(CD_CASES))}
    for i, (v, h, k) in enumerate(CD_CASES):
        patterns = np.repeat(rng.integers(0, 2, size=(3, v)) * 0.75 + 0.125, CD_COPIES, axis=0)
        arrays |= {f"{name}_{i}": array for name, array in small_machine(rng, v, h, 2.0).items()}
        numbers = {"k": k, "lr": 0.5, "times": CD_TIMES}
        arrays |= {f"x_{i}": patterns} | {f"{name}_{i}": np.array(value) for name, value in numbers.items()}
    return arrays


def expected_cd(x, fc, bias_v, bias_h, k: int, draw_visible: bool = False) -> dict[str, np.ndarray]:
    """Expected gradients of CD-k on x (N, V): the Gibbs chain as a matrix over all states of the hidden units.

    With ``draw_visible`` the visible units are drawn, too, instead of keeping their probabilities.

    Returns:
        the mean over the batch of <v p_h> at the data less its expectation after k steps, and the same of v and p_h.
    """

    def states(n):
        return np.array(list(itertools.product((0.0, 1.0), repeat=n)))

    def probabilities(p, s):  # of binary states s (S, n) given unit probabilities p (P, n): (P, S)
        return np.prod(np.where(s == 1, p[:, None], 1 - p[:, None]), axis=2)

    def up(v):
        return expit(v @ fc + bias_h)

    hidden = states(len(bias_h))
    p_v = expit(hidden @ fc.T + bias_v)  # for each hidden state
    visible = states(len(bias_v)) if draw_visible else p_v  # what the units below can be, and how likely each is
    down = probabilities(p_v, visible) if draw_visible else np.eye(len(hidden))
    first = probabilities(up(x), hidden).mean(axis=0)
    last = first @ np.linalg.matrix_power(down @ probabilities(up(visible), hidden), k - 1) @ down
    return {
        "fc": x.T @ up(x) / len(x) - (last[:, None] * visible).T @ up(visible),
        "bias_v": x.mean(axis=0) - last @ visible,
        "bias_h": up(x).mean(axis=0) - last @ up(visible),
    }


def judge_cd(inputs, answers) -> tuple[float, str, str]:
    points = {"fc": 8, "bias_v": 3, "bias_h": 3}
    got = [{name: get(answers, f"{name}_{i}") for name in points} for i in range(len(CD_CASES))]
    for i, changes in enumerate(got):
        for name, change in changes.items():
            if change.shape != inputs[f"{name}_{i}"].shape or not np.isfinite(change).all():
                return 0, f"after an update {name} has shape {change.shape} or is not finite", "keep its shape"
    # A mean of so many draws of numbers between 0 and 1.
    tolerance = NOISE * 0.5 / np.sqrt(CD_TIMES * CD_COPIES * 3)

    def wanted(i, steps=None, draw_visible=False):
        machine = [inputs[f"{name}_{i}"] for name in PARAMETERS]
        return expected_cd(inputs[f"x_{i}"], *machine, steps or CD_CASES[i][2], draw_visible)

    def matches(factor=1.0, steps=None):
        """Which parameters change as wanted, in every case, for visible units drawn or not."""
        best = set()
        for draw in (False, True):
            right = set(points)
            for i, changes in enumerate(got):
                want, lr = wanted(i, steps, draw), float(inputs[f"lr_{i}"]) * factor
                right -= {n for n in points if not close(changes[n], lr * want[n], abs(lr) * tolerance + FLOAT32)}
            best = max(best, right, key=lambda names: sum(points[n] for n in names))
        return best

    right = matches()
    score = sum(points[name] for name in right)
    if score == 14:
        if not all(np.array_equal(get(answers, f"x_after_{i}"), inputs[f"x_{i}"]) for i in range(len(CD_CASES))):
            return 10, "contrastive_divergence changes the batch in place", "work on a new tensor"
        return 14, "contrastive divergence is right", ""
    signs = "the signs are the wrong way round: the update makes the data less likely"
    for factor, steps, message, hint in (
        (-1, None, signs, "data minus chain"),
        (len(inputs["x_0"]), None, "the gradients are summed over the batch", "divide by the number of rows of x"),
        (2, None, "the update is made twice", "hand the gradients to self.ascend once"),
        (1, 1, "k is not used: the chain takes one step whatever k is", "repeat down and up self.k times"),
    ):
        if sum(points[name] for name in matches(factor, steps)) > score:
            return 7, message, hint
    if not any(change.any() for changes in got for change in changes.values()):
        return 0, "no parameter changes", "hand the gradients to self.ascend"
    name = next(name for name in points if name not in right)
    given = f"V = 4, H = 3, k = 1, learning rate 0.5, mean change of {name} over {CD_TIMES} updates"
    hint = "probabilities at both ends, the hidden state drawn in between; the mean over the batch"
    return score, f"{name} changes wrongly{comparison(given, got[0][name], 0.5 * wanted(0)[name])}", hint


def stack_inputs(rng, widths=(6, 5, 4, 3), n: int = 7) -> Arrays:
    arrays = {"machines": np.array(len(widths) - 1), "x": as_float32(rng.uniform(size=(n, widths[0])))}
    for i, (a, b) in enumerate(itertools.pairwise(widths)):
        arrays |= {f"{name}_{i}": array for name, array in small_machine(rng, a, b).items()}
    return arrays


def stack_passes(inputs, up_to: int, skip_down: int = 0) -> np.ndarray:
    x = inputs["x"]
    for i in range(up_to):
        x = expit(x @ inputs[f"fc_{i}"] + inputs[f"bias_h_{i}"])
    for i in reversed(range(skip_down, up_to)):
        x = expit(x @ inputs[f"fc_{i}"].T + inputs[f"bias_v_{i}"])
    return x


def judge_reconstruction(inputs, answers) -> tuple[float, str, str]:
    machines, got = int(inputs["machines"]), get(answers, "reconstructed")
    if close(got, stack_passes(inputs, machines), FLOAT32):
        return 4, "the reconstruction is right", ""
    if close(got, stack_passes(inputs, machines - 1), FLOAT32):
        return 1, "the RBM in training takes no part", "it stands on top of the stack: model.v2h2v"
    if close(got, stack_passes(inputs, machines, machines - 1), FLOAT32):
        return 1, "the pass ends at the input of the RBM in training, not at the pixels", "and down: rbm_models.h2v"
    return 0, f"the reconstruction, of shape {got.shape}, is wrong", "up the stack, through the model, down the stack"


LAYERS = (7, 5, 4, 3)


def layers_inputs(rng) -> Arrays:
    return {"layers": np.array(LAYERS), "x": as_float32(rng.uniform(size=(6, LAYERS[0])))}


def judge_layers(inputs, answers) -> tuple[float, str, str]:
    n = len(LAYERS) - 1
    for side, widths in (("encoder", LAYERS), ("decoder", LAYERS[::-1])):
        for i, (a, b) in enumerate(itertools.pairwise(widths)):
            got = get(answers, f"sigmoid_{side}_{i}_0_weight").shape
            if got != (b, a):
                hint = "encoder: one basic_block for each pair of neighbours in layers; decoder: the mirror image"
                return 0, f"{side}.{i}.0.weight has shape {got}, wanted is {(b, a)}", hint
    faults = []
    for kind in ("sigmoid", "linear"):
        x = inputs["x"]
        for side, name in (("encoder", "code"), ("decoder", "decoded")):
            for i in range(n):
                weight, bias = (get(answers, f"{kind}_{side}_{i}_0_{name}") for name in ("weight", "bias"))
                if weight.ndim != 2 or bias.shape != weight.shape[:1] or weight.shape[1:] != x.shape[1:]:
                    return 4, f"with a {kind} code, {side}.{i}.0 is missing or of another shape", "as without it"
                x = x @ weight.T + bias
                if not (kind == "linear" and side == "encoder" and i == n - 1):
                    x = expit(x)
            if not close(get(answers, f"{kind}_{name}"), x, FLOAT32):
                faults.append(f"with a {kind} code, the {side} computes something else than its blocks in order")
    score = 8 - len(faults)
    if any(not close(get(answers, f"{k}_whole"), get(answers, f"{k}_decoded"), FLOAT32) for k in ("sigmoid", "linear")):
        return min(score, 6), "model(x) is not decoder(encoder(x))", "forward: first the encoder, then the decoder"
    hint = "nn.Sequential of basic_block, whose `linear` only the last of the encoder takes" if faults else ""
    return score, "; ".join(faults) or "the layers are right", hint


def judge_unrolling(inputs, answers) -> tuple[float, str, str]:
    machines = int(inputs["machines"])
    wanted = {}
    for i in range(machines):
        fc, bias_v, bias_h = (inputs[f"{name}_{i}"] for name in PARAMETERS)
        encoder, decoder = f"encoder.{i}.0", f"decoder.{machines - 1 - i}.0"
        wanted |= {f"{encoder}.weight": fc.T, f"{encoder}.bias": bias_h}
        wanted |= {f"{decoder}.weight": fc, f"{decoder}.bias": bias_v}
    faults = [name for name, w in wanted.items() if not close(get(answers, name.replace(".", "_")), w, FLOAT32)]
    if not faults:
        if close(get(answers, "output"), stack_passes(inputs, machines), FLOAT32):
            return 12, "unrolling is right: the autoencoder computes the stack's pass up and down", ""
        return 6, "the parameters are right, but the output is not the stack's pass", "do not change the layers"
    score = 12 * (4 * machines - len(faults)) // (4 * machines)
    message = f"not those of the stack: {', '.join(faults[:4])}{' ...' if len(faults) > 4 else ''}"
    return score, message, "encoder i: fc transposed, bias_h of RBM i; the decoder's mirror layer: fc, bias_v of RBM i"


def tuning_inputs(rng) -> Arrays:
    widths = (6, 4, 3)
    arrays = {"layers": np.array(widths), "lr": np.array(0.5)}
    for i, (a, b) in enumerate(itertools.pairwise(widths + widths[-2::-1])):
        for j, shape in enumerate([(b, a), b]):
            arrays[f"parameter_{2 * i + j}"] = as_float32(rng.normal(size=shape))
    return arrays | {f"x_{i}": as_float32(rng.uniform(size=(5, widths[0]))) for i in range(2)}


def descended(inputs, *, accumulate: bool = False) -> tuple[list[np.ndarray], list[float]]:
    """Two steps of gradient descent on the mean squared error, by the chain rule written out for logistic layers."""
    parameters = [inputs[f"parameter_{i}"].copy() for i in range(8)]
    losses, total = [], [np.zeros_like(p) for p in parameters]
    for step in range(2):
        x = inputs[f"x_{step}"]
        outputs = [x]
        for i in range(0, 8, 2):
            outputs.append(expit(outputs[-1] @ parameters[i].T + parameters[i + 1]))
        losses.append(float(((outputs[-1] - x) ** 2).mean()))
        delta = 2 * (outputs[-1] - x) / x.size
        gradients = [None] * 8
        for i in (6, 4, 2, 0):
            delta = delta * outputs[i // 2 + 1] * (1 - outputs[i // 2 + 1])
            gradients[i], gradients[i + 1] = delta.T @ outputs[i // 2], delta.sum(axis=0)
            delta = delta @ parameters[i]
        total = [t + g for t, g in zip(total, gradients, strict=True)] if accumulate else gradients
        parameters = [p - float(inputs["lr"]) * g for p, g in zip(parameters, total, strict=True)]
    return parameters, losses


def judge_tuning(inputs, answers) -> tuple[float, str, str]:
    got = [get(answers, f"after_{i}") for i in range(8)]

    def arrived(want):
        return all(close(a, b, FLOAT32) for a, b in zip(got, want, strict=True))

    want, losses = descended(inputs)
    returned = np.concatenate([get(answers, f"loss_{i}").ravel() for i in range(2)])
    if arrived(want):
        if close(returned, np.array(losses), FLOAT32):
            return 10, "fine-tuning is right", ""
        return 8, "the steps are right, but what is returned is not the loss before the step", "loss, a scalar"
    if all(np.array_equal(a, inputs[f"parameter_{i}"]) for i, a in enumerate(got)):
        return 2 * bool(len(returned)), "no parameter changes", "loss.backward() and then optimizer.step()"
    if arrived(descended(inputs, accumulate=True)[0]):
        return 6, "the second step adds the gradients of the first", "optimizer.zero_grad() before backward()"
    return 0, "after two steps the parameters are wrong", "forward pass, loss against x, zero_grad, backward, step"


def error_inputs(rng) -> Arrays:
    return {name: as_float32(rng.uniform(size=(9, 20))) for name in ("x", "reconstructed")}


def judge_error(inputs, answers) -> tuple[float, str, str]:
    squares = (inputs["x"] - inputs["reconstructed"]) ** 2
    want, got = squares.sum(axis=1), get(answers, "error")
    if close(got, want, 10 * FLOAT32):
        return 6, "the squared error is right", ""
    for wrong, message, hint in (
        (squares.mean(axis=1), "the mean over the pixels, not their sum", "the paper sums over the pixels"),
        (squares.sum(axis=0), "one number a pixel, not one an image", "sum over dim=1"),
        (np.sqrt(want), "the root of the squared error", "leave the root out"),
        (squares.sum(), "one number for all images", "one number an image: sum over dim=1"),
        (want.mean(), "the mean over the images", "one number an image: leave the mean out"),
    ):
        if close(got.ravel(), np.ravel(wrong), 10 * FLOAT32):
            return 3, message, hint
    lines = comparison("the first image", got.ravel()[:1], want[:1])
    return 0, f"wrong{lines}", "sum of (x - reconstructed) ** 2 over dim=1"


def probe_inputs(rng) -> Arrays:
    arrays = {}
    for split, n in (("train", 12), ("test", 8)):
        arrays |= {f"{split}_codes": rng.normal(size=(n, 4)), f"{split}_labels": rng.integers(0, 10, size=n)}
    arrays["train_labels"][0] = (arrays["train_labels"][0] + 1) % 10
    return arrays


def judge_probe(inputs, answers) -> tuple[float, str, str]:
    arrays = {split: (inputs[f"{split}_codes"], inputs[f"{split}_labels"]) for split in ("train", "test")}
    mark = {split: [codes.sum(), labels.sum(), len(codes)] for split, (codes, labels) in arrays.items()}
    want = {"honest": mark["train"] + mark["test"], "same_set": mark["test"] * 2}
    scores, returned = get(answers, "scores"), get(answers, "returned")
    if scores.ndim != 2 or scores.shape[1] != 6 or returned.shape != (2,):
        return 0, "the classifier was not scored, or not two numbers were returned", "fit, score; fit again, score"
    asked = {}
    for name, value in zip(want, returned, strict=True):
        place = round(float(value) * 7) - 1 if np.isfinite(value) else -1
        asked[name] = scores[place] if 0 <= place < len(scores) else np.full(6, np.nan)
    right = {name: np.allclose(asked[name], want[name]) for name in want}
    if all(right.values()):
        return 6, "both probes are right", ""
    if np.allclose(asked["honest"], want["same_set"]):
        message = "the first accuracy is fitted and scored on the same test images, so it is too high"
        return 3 * right["same_set"], message, "fit on train_codes, score on test_codes; return that first"
    if np.allclose(asked["honest"], mark["train"] * 2):
        return 3 * right["same_set"], "the first accuracy is one of training images", "score on test_codes"
    hint = "honest: fit on train, score on test; same_set: fit on test, score on test"
    return 3 * sum(right.values()), f"{min(right, key=right.get)} is not what it should be", hint


QUESTIONS = {
    "data": Question("3.1 data loaders", 20, data_inputs, judge_data),
    "rbm_parameters": Question("3.2 RBM parameters", 3, parameters_inputs, judge_parameters),
    "rbm_sampling": Question("3.2 RBM sampling", 4, sampling_inputs, judge_sampling),
    "rbm_down": Question("3.2 RBM downwards", 5, down_inputs, judge_down),
    "rbm_cd": Question("3.2 RBM CD-k", 14, cd_inputs, judge_cd),
    "rbm_reconstruction": Question("3.2 RBM reconstruction", 4, stack_inputs, judge_reconstruction),
    "ae_layers": Question("3.3 layers and forward", 8, layers_inputs, judge_layers),
    "ae_unrolling": Question("3.3 unrolling", 12, stack_inputs, judge_unrolling),
    "ae_fine_tuning": Question("3.3 fine-tuning", 10, tuning_inputs, judge_tuning),
    "squared_error": Question("3.4 squared error", 6, error_inputs, judge_error),
    "probe": Question("3.4 probe", 6, probe_inputs, judge_probe),
}
REGIONS = {
    "3.1 data": "set train_loader and test_loader",
    "3.2 RBM parameters": "set self.fc, self.bias_v and self.bias_h",
    "3.2 RBM sampling": "return a draw of 0 and 1 for each probability in p",
    "3.2 RBM downwards": "return the probabilities of the visible units",
    "3.2 RBM contrastive divergence": "set gradient_fc, gradient_v and gradient_h",
    "3.2 RBM reconstruction": "return the pixels after the pass up and down",
    "3.3 autoencoder layers": "set self.encoder and self.decoder",
    "3.3 autoencoder forward": "return the reconstruction",
    "3.3 unrolling": "fill `pretrained` with the parameters of encoder and decoder by name",
    "3.3 fine-tuning": "set loss, and take one step of the optimizer",
    "3.4 squared error": "return one number for each image",
    "3.4 probe": "set honest and same_set",
}
