"""The questions on the restricted Boltzmann machine (30 points): what a submission is given, and how it is judged.

Contrastive divergence is judged by enumerating every state of the hidden units of a small machine. The passes that a
task needs of other tasks are given to it as tables (``passes``). Symbols: N rows, V visible and H hidden units.
"""

import itertools

import numpy as np
from scipy.special import expit

from grading.questions.common import FLOAT32, Arrays, Question, close, comparison, explained, get, judgement, shown

NOISE = 6  # standard deviations that a mean over draws may lie from its expectation
PARAMETERS = ("fc", "bias_v", "bias_h")


def as_float32(array: np.ndarray) -> np.ndarray:
    """The numbers that the submission gets: float32 values as float64."""
    return np.asarray(array, np.float32).astype(np.float64)


def parameters_inputs(rng) -> Arrays:
    return {"n_visible": np.array(40), "n_hidden": np.array(25)}


def judge_parameters(inputs, answers) -> tuple[float, str, str]:
    """A point each for fc, for the biases, and for how they are kept."""
    v, h = int(inputs["n_visible"]), int(inputs["n_hidden"])
    faults = {}
    for name, shape in {"fc": (v, h), "bias_v": (v,), "bias_h": (h,)}.items():
        got, part = get(answers, name), name.partition("_")[0]
        if got.shape != shape:
            faults[part] = f"{name} has shape {got.shape}, wanted is {shape}", f"RBM({v}, {h}) has {v} visible units"
        elif not (np.abs(got) <= 2).all():
            faults[part] = f"{name} holds numbers up to {np.abs(got).max():g}", "begin with small numbers"
        elif name == "fc" and np.unique(got).size < got.size // 2:
            faults[part] = "all hidden units begin alike, and would stay alike", "begin fc with small random numbers"
    for kept, right, message, hint in (
        ("saved", 1, "state_dict() lacks a parameter: it would not be saved", "wrap each in nn.Parameter(..., False)"),
        ("gradients", 0, "a parameter asks for gradients, which CD changes in place", "requires_grad=False"),
        ("float32", 1, "a parameter is not float32, as the pixels are", "leave the type to torch.randn, torch.zeros"),
    ):
        if (get(answers, kept) != right).any():
            faults.setdefault("kept", (message, hint))
    return judgement(3 - len(faults), list(faults.values()) or [("the parameters are right", "")])


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
    off = bool((np.abs(first.mean(axis=0) - p[0]) > bound).any())
    if not np.array_equal(get(answers, "p_after"), p):
        told = "sample_p changes p in place: the probabilities are lost"
        return 2 - off, told, "torch.bernoulli(p); p.bernoulli_() overwrites p, and draws 1 with probability 1/2"
    if off:
        return 0, f"p = {shown(p[0])}, but the share of ones is {shown(first.mean(axis=0))}", "1 with probability p"
    inner = first[:, 1:4]
    alike = (inner == inner[0]).all() or (inner[:, 0] <= inner[:, 1]).all()
    if np.array_equal(first, second) or alike:
        return 2, "draws are not independent of each other", "a fresh random number for each entry: torch.rand_like(p)"
    if not get(answers, "is_float32").all():
        return 2, "a draw is not float32 as p is, so the next pass cannot multiply it", "end with .to(p.dtype)"
    return 4, "sampling is right", ""


def down_inputs(rng) -> Arrays:
    return small_machine(rng, 4, 4) | {"h": rng.integers(0, 2, size=(6, 4)).astype(float)}


def judge_down(inputs, answers) -> tuple[float, str, str]:
    fc, bias_v, h = (inputs[name] for name in ("fc", "bias_v", "h"))
    want, got = expit(h @ fc.T + bias_v), get(answers, "p_v")
    bias_h = "downwards, the visible bias is added"
    known = [
        (want, 5, "p(v | h) is right", ""),
        (h @ fc.T + bias_v, 2, "the logistic function is left out", "torch.sigmoid"),
        (expit(h @ fc.T), 2, "bias_v is left out", "add it before the logistic function"),
        (expit(h @ fc + bias_v), 2, "fc is not transposed", "fc is (V, H), and h has H columns: h @ fc.T"),
        (expit(h @ fc.T + inputs["bias_h"]), 2, "bias_h stands for bias_v", bias_h),
    ]
    given = f"h = {shown(h[0])}, fc = {shown(fc)}, bias_v = {shown(bias_v)}"
    lines = comparison(given, *((got[0], want[0]) if got.shape == want.shape else (got, want)))
    unknown = 0, f"p(v | h) is wrong{lines}", "the same fc as upwards, transposed, and bias_v"
    return explained(got, known, FLOAT32) or unknown


CD_CASES = ((4, 3, 1), (5, 3, 2))  # V, H, k
CD_TIMES, CD_COPIES = 40, 400


def states(n: int) -> np.ndarray:
    """All states of n binary units: (2^n, n)."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


def cd_inputs(rng) -> Arrays:
    arrays = {"cases": np.array(len(CD_CASES))}
    for i, (v, h, k) in enumerate(CD_CASES):
        patterns = rng.integers(0, 2, size=(3, v)) * 0.75 + 0.125
        machine = small_machine(rng, v, h, 2.0)
        down = expit(states(h) @ machine["fc"].T + machine["bias_v"])
        arrays |= passes(machine, np.vstack([patterns, down, states(v)]), states(h), f"_{i}")
        given = {"x": np.repeat(patterns, CD_COPIES, axis=0), "k": k, "lr": 0.5, "times": CD_TIMES}
        arrays |= {f"{name}_{i}": np.asarray(value) for name, value in given.items()}
    return arrays


def passes(machine: dict, visible: np.ndarray, hidden: np.ndarray, end: str) -> Arrays:
    """A machine and its passes as tables of recorded rows: what each pass was asked, and what it answered."""
    up = expit(visible @ machine["fc"] + machine["bias_h"])
    down = expit(hidden @ machine["fc"].T + machine["bias_v"])
    tables = {"propup_asked": visible, "propup_answered": up, "propdown_asked": hidden, "propdown_answered": down}
    return {f"{name}{end}": array for name, array in (machine | tables).items()}


def expected_cd(x, fc, bias_v, bias_h, k: int, in_chain: bool = False, at_end: bool = False) -> dict[str, np.ndarray]:
    """Expected gradients of CD-k on x (N, V): the Gibbs chain as a matrix over all states of the hidden units.

    ``in_chain`` says that visible units are drawn, too, instead of keeping their probabilities; ``at_end`` says it of
    the chain's last step.
    """

    def probabilities(p, s):  # of binary states s (S, n) given unit probabilities p (P, n): (P, S)
        return np.prod(np.where(s == 1, p[:, None], 1 - p[:, None]), axis=2)

    def up(v):
        return expit(v @ fc + bias_h)

    hidden = states(len(bias_h))
    p_v = expit(hidden @ fc.T + bias_v)  # for each hidden state

    def below(drawn):  # what the units below can be, and how likely each is
        visible = states(len(bias_v)) if drawn else p_v
        return visible, probabilities(p_v, visible) if drawn else np.eye(len(hidden))

    visible, down = below(in_chain)
    last = probabilities(up(x), hidden).mean(axis=0)
    last = last @ np.linalg.matrix_power(down @ probabilities(up(visible), hidden), k - 1)
    visible, down = below(at_end)
    last = last @ down
    return {
        "fc": x.T @ up(x) / len(x) - (last[:, None] * visible).T @ up(visible),
        "bias_v": x.mean(axis=0) - last @ visible,
        "bias_h": up(x).mean(axis=0) - last @ up(visible),
    }


CD_SLIPS = (  # factor and number of steps that explain a change (None: the right ones), what is wrong, and what helps
    (1, None, "", ""),
    (-1, None, "has the wrong sign, which makes the data less likely", "data minus chain"),
    ("rows", None, "is summed over the batch", "divide by the number of rows of x"),
    (2, None, "is made twice", "hand the gradients to self.ascend once"),
    (1, 1, "is that of one step: k is not used", "repeat down and up self.k times"),
)


def judge_cd(inputs, answers) -> tuple[float, str, str]:
    """A parameter that changes rightly has its points; half of them where a known slip explains its change."""
    points = {"fc": 8, "bias_v": 3, "bias_h": 3}
    cases = range(len(CD_CASES))
    got = [{name: get(answers, f"{name}_{i}") for name in points} for i in cases]
    # A mean of so many draws of numbers between 0 and 1.
    tolerance = NOISE * 0.5 / np.sqrt(CD_TIMES * CD_COPIES * 3)

    def changes(i, steps=None, drawn=(False, False)):
        given = (inputs[f"{name}_{i}"] for name in ("x", *PARAMETERS))
        wanted = expected_cd(*given, steps or CD_CASES[i][2], *drawn)
        return {name: float(inputs[f"lr_{i}"]) * change for name, change in wanted.items()}

    best, best_score = {}, -1
    for drawn in itertools.product((False, True), repeat=2):
        found = {}
        for slip in reversed(CD_SLIPS):
            wanted = [changes(i, slip[1], drawn) for i in cases]
            factors = [len(inputs[f"x_{i}"]) if slip[0] == "rows" else slip[0] for i in cases]
            for name in points:
                pairs = zip(got, wanted, factors, strict=True)
                if all(close(g[name], f * w[name], abs(f) * tolerance + FLOAT32) for g, w, f in pairs):
                    found[name] = slip
        score = sum(p if found.get(n) == CD_SLIPS[0] else p / 2 * (n in found) for n, p in points.items())
        if score > best_score:
            best, best_score = found, score
    if best_score == 14:
        if not all(np.array_equal(get(answers, f"x_after_{i}"), inputs[f"x_{i}"]) for i in cases):
            return 10, "contrastive_divergence changes the batch in place", "work on a new tensor"
        return 14, "contrastive divergence is right", ""
    if not any(change.any() for each in got for change in each.values()):
        return 0, "no parameter changes", "hand the gradients to self.ascend"
    if (given := get(answers, "strange_propdown")).size:
        told = f"propdown is given {shown(given)}, no hidden state that was drawn"
        return max(best_score, 7), told, "go down from self.sample_h(p_h), or from the second that v2h returns"
    faults = [(f"the change of {name} {told}", hint) for name, (_, _, told, hint) in best.items() if told]
    for name in (name for name in points if name not in best):
        i = next((i for i in cases if not close(got[i][name], changes(i)[name], tolerance + FLOAT32)), 0)
        given = "V = {}, H = {}, k = {}, ".format(*CD_CASES[i])
        given += f"learning rate 0.5, mean change of {name} over {CD_TIMES} updates"
        hint = "probabilities at both ends, the hidden state drawn in between; the mean over the batch"
        faults.append((f"{name} changes wrongly{comparison(given, got[i][name], changes(i)[name])}", hint))
    return judgement(best_score, faults)


def stack_inputs(rng, widths=(6, 5, 4, 3), n: int = 7) -> Arrays:
    """Machines on top of each other with all that a pass up and down through some of them can ask, and pixels x."""
    machines = [small_machine(rng, a, b) for a, b in itertools.pairwise(widths)]
    ups = [as_float32(rng.uniform(size=(n, widths[0])))]
    for machine in machines:
        ups.append(expit(ups[-1] @ machine["fc"] + machine["bias_h"]))
    arrays, asked = {"machines": np.array(len(machines)), "x": ups[0]}, ups[-1]
    for i, machine in reversed(list(enumerate(machines))):
        arrays |= passes(machine, ups[i], asked, f"_{i}")
        asked = np.vstack([ups[i], arrays[f"propdown_answered_{i}"]])
    for i, (a, b) in enumerate(itertools.pairwise(widths + widths[-2::-1])):
        side, place = ("encoder", i) if i < len(machines) else ("decoder", i - len(machines))
        arrays[f"{side}_{place}_0_weight"] = np.zeros((b, a))
    return arrays


def stack_passes(inputs, up_to: int, skip_down: int = 0) -> np.ndarray:
    x = inputs["x"]
    for i in range(up_to):
        x = expit(x @ inputs[f"fc_{i}"] + inputs[f"bias_h_{i}"])
    for i in reversed(range(skip_down, up_to)):
        x = expit(x @ inputs[f"fc_{i}"].T + inputs[f"bias_v_{i}"])
    return x


def judge_reconstruction(inputs, answers) -> tuple[float, str, str]:
    n, got = int(inputs["machines"]), get(answers, "reconstructed")
    below = "the pass ends at the input of the RBM in training, not at the pixels"
    known = [
        (stack_passes(inputs, n), 4, "the reconstruction is right", ""),
        (stack_passes(inputs, n - 1), 1, "the RBM in training takes no part", "it stands on top: model.v2h2v"),
        (stack_passes(inputs, n, n - 1), 1, below, "and down: rbm_models.h2v"),
    ]
    hint = "up the stack, through the model, down the stack"
    return explained(got, known, FLOAT32) or (0, f"the reconstruction, of shape {got.shape}, is wrong", hint)


QUESTIONS = {
    "rbm_parameters": Question("3.2 RBM parameters", 3, parameters_inputs, judge_parameters),
    "rbm_sampling": Question("3.2 RBM sampling", 4, sampling_inputs, judge_sampling),
    "rbm_down": Question("3.2 RBM downwards", 5, down_inputs, judge_down),
    "rbm_cd": Question("3.2 RBM CD-k", 14, cd_inputs, judge_cd),
    "rbm_reconstruction": Question("3.2 RBM reconstruction", 4, stack_inputs, judge_reconstruction),
}
