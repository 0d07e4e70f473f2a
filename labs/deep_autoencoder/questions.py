"""The questions on this lab's submission: what it is given, and what its answers are worth: 92 points.

8 more are given by hand, and a bonus of 10 comes on top. Judged by NumPy and scikit-learn, and never by a solution of
the lab. The RBM's questions are in ``rbm_questions.py``.
"""

import hashlib
import itertools

import numpy as np
from scipy.special import expit

from grading.questions import common
from grading.questions.common import FLOAT32, Arrays, Question, close, explained, get, judgement
from hi_mnist import text
from hi_mnist.data import N_CLASSES
from labs.deep_autoencoder import colored, rbm_questions
from labs.deep_autoencoder.rbm_questions import PARAMETERS, as_float32, stack_inputs


def data_inputs(rng) -> Arrays:
    arrays = {"batch_size": np.array(16), "num_workers": np.array(2)}
    for split, n in (("train", 75), ("test", 37)):
        arrays[f"{split}_images"] = rng.integers(0, 256, size=(n, 1, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = rng.integers(0, 10, size=n)
    return arrays


def places(x: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Which of the images each row of x is, whatever its scale: int (n,), -1 for none."""
    rows, known = (a.reshape(len(a), -1).astype(float) for a in (x, images))
    if rows.shape[1:] != known.shape[1:]:
        return np.full(len(rows), -1)
    rows, known = (a - a.mean(axis=1, keepdims=True) for a in (rows, known))
    likeness = (rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ (known.T / np.linalg.norm(known, axis=1))
    return np.where(likeness.max(axis=1) > 0.99, likeness.argmax(axis=1), -1)


def judge_data(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    splits, size = {"first": "train", "second": "train", "again": "train", "test": "test"}, int(inputs["batch_size"])
    images = {name: inputs[f"{split}_images"] for name, split in splits.items()}
    x = {name: get(answers, f"{name}_x") for name in images}
    if any(rows.ndim < 2 or not rows.size for rows in x.values()):
        return 0, "the loaders yield no images", "make each of a TensorDataset of images and labels"
    order = {name: places(x[name], images[name]) for name in images}
    # All different, and none that was not given: a batch left out is charged once, below.
    known = {name: len(set(o.tolist())) == len(o) and o.min() >= 0 for name, o in order.items()}
    shuffled = known["first"] and known["second"] and bool((np.diff(order["first"]) < 0).any())
    anew = shuffled and not np.array_equal(order["first"], order["second"])
    in_order = known["test"] and bool((np.diff(order["test"]) > 0).all())
    scaled = known["test"] and close(x["test"].ravel(), images["test"][order["test"]].ravel() / 255, FLOAT32)
    form = [x[name].shape[1:] for name in ("first", "test")]
    types = all(get(answers, f"{name}_is_float32").all() for name in ("first", "test"))
    sizes = [get(answers, f"{name}_sizes").tolist() for name in ("first", "test")]
    want_sizes = [[size] * (len(images[name]) // size) + [len(images[name]) % size] for name in ("first", "test")]
    given = {name: inputs[f"{splits[name]}_labels"][order[name]] for name in ("first", "test")}
    labelled = all(known[name] and np.array_equal(get(answers, f"{name}_y"), y) for name, y in given.items())
    runs = f"pixels run from {x['test'].min():.4g} to {x['test'].max():.4g}, wanted is the byte divided by 255, 0 to 1"
    batches = f"batches of {sizes[0]} images, wanted are {want_sizes[0]}: a rest comes last"
    type_told = f"an image has shape {form[0]}, wanted is (1, 28, 28) in float32"
    parts = (
        (4, scaled, runs, "images.float() / 255"),
        (1, in_order, "the test images do not stay in order", "shuffle=False for the test images"),
        (2, types and set(form) == {(1, 28, 28)}, type_told, "keep the axes, and convert the images with .float()"),
        (4, sizes == want_sizes, batches, "give batch_size to both loaders, and do not drop the last batch"),
        (4, anew, "train_loader does not shuffle anew in each epoch", "shuffle=True for the training images"),
        (2, anew and np.array_equal(order["first"], order["again"]),
         "the same generator does not give the same order again", "give it to the training loader"),
        (2, labelled, "labels do not go with their images", "put images and labels into one TensorDataset"),
        (1, get(answers, "num_workers").tolist() == [2, 2], "num_workers is not used", "give it to both loaders"),
    )  # fmt: skip
    faults = [texts for _, right, *texts in parts if not right]
    return judgement(sum(points for points, right, *_ in parts if right), faults or [("both loaders are right", "")])


LAYERS = (7, 5, 4, 3)


def layers_inputs(rng) -> Arrays:
    given = {"x": rng.uniform(size=(6, LAYERS[0])), "z": rng.uniform(size=(6, LAYERS[-1]))}
    return {"layers": np.array(LAYERS)} | {name: as_float32(array) for name, array in given.items()}


def judge_layers(inputs, answers) -> tuple[float, str, str]:
    """2 points for each side with a sigmoid code, 1 with a linear one, 2 for the whole; at most 5 for flat chains."""
    score, faults = 0, []
    for kind, side in itertools.product(("sigmoid", "linear"), ("encoder", "decoder")):
        encoding = side == "encoder"
        widths, x = (LAYERS, inputs["x"]) if encoding else (LAYERS[::-1], inputs["z"])
        last = np.asarray if encoding and kind == "linear" else expit
        of_kind = {key.removeprefix(f"{kind}_"): array for key, array in answers.items() if key.startswith(kind)}
        if fault := common.dense_fault(of_kind, side, widths, x, side, expit, last):
            faults.append((f"with a {kind} code, {fault[0]}", fault[1]))
        else:
            score += 2 if kind == "sigmoid" else 1
    whole = [(get(answers, f"{k}_whole"), get(answers, f"{k}_rebuilt")) for k in ("sigmoid", "linear")]
    if all(a.size and close(a, b, FLOAT32) for a, b in whole):
        score += 2
    elif all(b.size for _, b in whole):
        faults.append(("model(x) is not decoder(encoder(x))", "forward: first the encoder, then the decoder"))
    if not get(answers, "named").all() and score > 5:
        score = 5
        told = "a parameter is not named encoder.0.0.weight: the layers stand in one flat chain, not in blocks"
        faults.append((told, "nn.Sequential of what basic_block returns, one for each pair"))
    return judgement(score, faults or [("the layers are right", "")])


def judge_unrolling(inputs, answers) -> tuple[float, str, str]:
    machines = int(inputs["machines"])
    wanted = {}
    for i in range(machines):
        fc, bias_v, bias_h = (inputs[f"{name}_{i}"] for name in PARAMETERS)
        encoder, decoder = f"encoder.{i}.0", f"decoder.{machines - 1 - i}.0"
        wanted |= {f"{encoder}.weight": (fc.T, f"fc.T of RBM {i}"), f"{encoder}.bias": (bias_h, f"bias_h of RBM {i}")}
        wanted |= {f"{decoder}.weight": (fc, f"fc of RBM {i}"), f"{decoder}.bias": (bias_v, f"bias_v of RBM {i}")}
    unknown = text.one_line(bytes(get(answers, "unknown").astype(np.uint8)).decode(errors="replace"))
    faults = [f"the autoencoder has no parameter {unknown!r}"] if unknown else []
    for name, (want, source) in wanted.items():
        got = get(answers, name.replace(".", "_"))
        if not close(got, want, FLOAT32):
            (found,) = explained(got, [*wanted.values()], FLOAT32) or [f"something of shape {got.shape}"]
            faults.append(f"{name} is {found}, wanted is {source}")
    if not faults:
        return 12, "unrolling is right: the autoencoder computes the stack's pass up and down", ""
    score = max(0, 12 * (4 * machines - len(faults)) // (4 * machines))
    hint = "encoder i: fc transposed, bias_h of RBM i; the decoder's mirror layer: fc, bias_v of RBM i"
    return score, "\n".join(faults[:4] + ["..."] * (len(faults) > 4)), hint


def tuning_inputs(rng) -> Arrays:
    arrays = {"weight": rng.normal(size=(6, 6))} | {f"x_{i}": rng.uniform(size=(5, 6)) for i in range(2)}
    return {name: as_float32(array) for name, array in arrays.items()} | {"learning_rate": np.array(0.5)}


def squares(x: np.ndarray, weight: np.ndarray, over: str = "") -> tuple[float, np.ndarray]:
    """Mean squared error of x W^T, or its sum ``over`` pixels or images, and the gradient."""
    off, scale = x @ weight.T - x, {"pixels": 1, "images": x.shape[1]}.get(over, x.size)
    return (off**2).sum() / scale, 2 * off.T @ x / scale


TUNING_SLIPS = [
    ({"accumulate": True}, "the second step adds the gradients of the first", "zero_grad() before backward()"),
    ({"over": "pixels"}, "the loss is the sum over the pixels, not their mean", "criterion(model(x), x) as it is"),
    ({"over": "images"}, "the loss is the sum over the images, not their mean", "criterion(model(x), x) as it is"),
]


def judge_tuning(inputs, answers) -> tuple[float, str, str]:
    judged = common.descent(inputs, answers, squares, TUNING_SLIPS, without_loss=8, with_slip=6)
    if "is_a_number" in answers:
        hint = "backward() and what follows need the tensor: leave .item() to whoever prints the loss"
        return max(2, judged[0]), "loss is a Python number", hint
    return judged


def error_inputs(rng) -> Arrays:
    return {name: as_float32(rng.uniform(size=(9, 20))) for name in ("x", "reconstructed")}


def judge_error(inputs, answers) -> tuple[float, str, str]:
    squares = (inputs["x"] - inputs["reconstructed"]) ** 2
    want, got = squares.sum(axis=1), get(answers, "error")
    if close(got, want, 10 * FLOAT32):
        return 6, "the squared error is right", ""
    known = [
        (want, 3, f"shape {got.shape}, wanted is {want.shape}", "one number an image: no second axis"),
        (squares.mean(axis=1), 3, "the mean over the pixels, not their sum", "the paper sums over the pixels"),
        (squares.sum(axis=0), 3, "one number a pixel, not one an image", "sum over dim=1"),
        (np.sqrt(want), 3, "the root of the squared error", "leave the root out"),
        (squares.sum().reshape(1), 3, "one number for all images", "one number an image: sum over dim=1"),
        (want.mean().reshape(1), 3, "the mean over the images", "one number an image: leave the mean out"),
    ]
    told = f"wrong{common.comparison('9 images of 20 pixels', got, want)}"
    return explained(got.ravel(), known, 10 * FLOAT32) or (0, told, "sum of (x - reconstructed) ** 2 over dim=1")


def accuracies(inputs) -> dict[tuple[str, str], float]:
    """What scikit-learn's classifier says, by what it is fitted to and what it is scored on."""
    from sklearn.linear_model import LogisticRegression

    sets = {split: (inputs[f"{split}_codes"], inputs[f"{split}_labels"]) for split in ("train", "test")}
    fitted = {split: LogisticRegression().fit(*arrays) for split, arrays in sets.items()}
    return {(a, b): fitted[a].score(*sets[b]) for a, b in itertools.product(sets, repeat=2)}


def probe_inputs(rng) -> Arrays:
    """Codes with which no two of the accuracies are equal."""
    arrays, alike = {}, True
    while alike:
        for split, n in (("train", 41), ("test", 29)):
            arrays |= {f"{split}_codes": rng.normal(size=(n, 4)), f"{split}_labels": rng.integers(0, 3, size=n)}
        alike = len(set(accuracies(arrays).values())) < 4
    return arrays


def judge_probe(inputs, answers) -> tuple[float, str, str]:
    known, returned = accuracies(inputs), get(answers, "returned")
    if returned.shape != (2,):
        return 0, f"shape {returned.shape} is returned, wanted are two numbers", "return honest, same_set"
    faults = []
    for name, want, got in (("honest", ("train", "test"), returned[0]), ("same_set", ("test", "test"), returned[1])):
        if not np.isclose(got, known[want]):
            found = next((pair for pair, value in known.items() if np.isclose(got, value)), None)
            is_now = "fitted on {} and scored on {}".format(*found) if found else f"{got:.4f}, that of no such fit"
            faults.append((f"{name} is {is_now}, wanted is fitted on {want[0]} and scored on {want[1]}",
                           "fit on one set, score on the other; then fit and score on the test codes"))  # fmt: skip
    return judgement(6 - 3 * len(faults), faults or [("both probes are right", "")])


# --------------------------------------------------------------------------- the bonus

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


def score_inputs(rng: np.random.Generator) -> Arrays:
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


def judge_score(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    """A quarter of the points for each set, by the mean of recall (as many flagged as are odd) and area."""
    points, faults = 0.0, []
    for i, (severity, share) in enumerate(SETS):
        scores, odd = get(answers, f"scores_{i}"), ODD[hashlib.sha256(inputs[f"images_{i}"]).digest()]
        if scores.shape != odd.shape or not np.isfinite(scores).all():
            found = f"of shape {scores.shape}" if scores.shape != odd.shape else "with NaN or infinity"
            return 0, f"scores {found}, wanted are finite numbers of shape {odd.shape}", "one number for each image"
        recall, area = colored.detected(scores, odd)
        points += 10 / len(SETS) * np.clip(((recall + area) / 2 - WORTHLESS) / (BEST - WORTHLESS), 0, 1)
        told = f"severity {severity}, {share:.1%} odd: recall {recall:.2f}, area under the ROC curve {area:.2f}"
        faults.append((told, ""))
    if points > 9.99:
        return 10, "the odd colours are found", ""
    faults[-1] = faults[-1][0], "what has one image of a class in common with the others, if shape is left aside?"
    return judgement(round(points, 1), faults)


QUESTIONS = {
    "data": Question("3.1 data loaders", 20, data_inputs, judge_data),
    **rbm_questions.QUESTIONS,
    "ae_layers": Question("3.3 layers and forward", 8, layers_inputs, judge_layers),
    "ae_unrolling": Question("3.3 unrolling", 12, stack_inputs, judge_unrolling),
    "ae_fine_tuning": Question("3.3 fine-tuning", 10, tuning_inputs, judge_tuning),
    "squared_error": Question("3.4 squared error", 6, error_inputs, judge_error),
    "probe": Question("3.4 probe", 6, probe_inputs, judge_probe),
    "score": Question("4.1 odd colours (bonus)", 10, score_inputs, judge_score, bonus=True),
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
    "4.1 odd colours": "return one number for each image, higher for the more suspicious",
}
