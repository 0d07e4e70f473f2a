"""The judges of the questions on the code: right answers, known mistakes, and answers that hold anything at all."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sandbox
from grading import checks
from grading.questions import common, e_step, sampling
from hi_mnist.files import ROOT
from sandbox import worker

pytestmark = pytest.mark.usefixtures("one_blas_thread")
TASKS = list(checks.QUESTIONS)
FULL = {name: asked.points for name, asked in checks.QUESTIONS.items()}
SEED = 5


@functools.cache
def inputs_of(task: str, seed: int = SEED) -> common.Arrays:
    return checks.make_inputs(task, seed)


@functools.cache
def right(task: str) -> common.Arrays:
    """The solution's answers to ``inputs_of(task)``; pictures are made here, without the detour through files."""
    if task != "sample_from_gmm":
        submission = worker.load((ROOT / "submission.py").read_bytes())
        return worker.answer(task, submission, inputs_of(task), {})
    return pictures()


def pictures(finish=lambda pixels: np.clip(pixels, 0, 255)) -> common.Arrays:
    """What a sampler leaves that ends with ``finish`` for each picture."""
    inputs, rng, answers = inputs_of("sample_from_gmm"), np.random.default_rng(0), {}
    for i in range(2):
        label = int(inputs[f"label_{i}"])
        means, covs = inputs[f"means_{i}"][label], inputs[f"covs_{i}"][label]
        codes = rng.multivariate_normal(means, covs, size=int(inputs[f"n_{i}"]))
        pixels = codes @ inputs[f"components_{i}"] + inputs[f"mean_{i}"]
        images = np.array([finish(p) for p in pixels]).astype(np.int64).astype(np.uint8)
        answers[f"images_{i}"] = images.reshape(-1, 28, 28)
        answers[f"form_{i}"] = np.zeros(0)
    return answers


def result(task: str, **changes) -> dict:
    """The judgement of the right answers with some of them exchanged; None takes one away."""
    answers = {name: array for name, array in (right(task) | changes).items() if array is not None}
    return checks.score(task, inputs_of(task), answers)


def points(task: str, **changes) -> float:
    return result(task, **changes)["score"]


def each(task: str, name: str, change) -> common.Arrays:
    """The right answers ``name_0``, ``name_1``, ... with ``change`` applied to each."""
    return {key: change(array) for key, array in right(task).items() if key.rstrip("0123456789") == f"{name}_"}


# --------------------------------------------------------------------------- inputs


@pytest.mark.parametrize("task", TASKS)
def test_same_seed_gives_same_inputs_whatever_the_global_generator_did(task):
    np.random.seed(1)
    first = checks.make_inputs(task, 3)
    np.random.seed(2)
    second, other = checks.make_inputs(task, 3), checks.make_inputs(task, 4)
    assert list(first) == list(second) == list(other)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)
    assert all(first[name].shape == other[name].shape and first[name].dtype == other[name].dtype for name in first)
    if task != "sample_from_gmm":  # the example to redo by hand is the same for every seed
        assert all(np.array_equal(first[name], other[name]) for name in first if name.endswith("_0"))
        assert len(first["x_0"]) == 3


# --------------------------------------------------------------------------- the examples, by hand


def test_e_step_by_hand():
    """Both variances are 4: gamma_n1 = 1 / (1 + 2 exp((x^2 - (x - 4)^2) / 8)), and x^2 - (x - 4)^2 = 8 x - 16."""
    first = [1 / (1 + 2 * math.exp(x - 2)) for x in (0, 1, 4)]
    assert np.round(first, 4).tolist() == [0.7870, 0.5761, 0.0634]
    gamma = np.array([[0.7870, 0.2130], [0.5761, 0.4239], [0.0634, 0.9366]])
    assert result("e_step", gamma_0=gamma)["verdict"] == "PASS"
    assert points("e_step", gamma_0=gamma[:, ::-1]) == 0
    message = result("e_step", gamma_0=gamma[:, ::-1])["message"]
    assert "input: x = 0, 1, 4; means = 0, 4; variances = 4, 4; pi = 1/3, 2/3" in message
    assert "got: [[0.213 , 0.787 ]" in message
    assert "want: [[0.787 , 0.213 ]" in message


def test_m_step_by_hand():
    """N_k = 2 and 1. Means: 1.75 / 2 and 3.25 / 1. Variances: 3.21875 / 2 and 1.6875 / 1."""
    by_hand = {
        "pi_0": np.array([0.666667, 0.333333]),
        "means_0": np.array([[0.875], [3.25]]),
        "covs_0": np.array([[[1.609375]], [[1.6875]]]),
    }
    assert result("m_step", **by_hand)["verdict"] == "PASS"
    judged = result("m_step", **by_hand | {"means_0": np.array([[1.75], [3.25]])})
    assert judged["score"] == 7
    assert "got: [1.75, 3.25]" in judged["message"]
    assert "want: [0.875, 3.25 ]" in judged["message"]


def test_pca_by_hand():
    """The mean is (7, 8), the scatter matrix ((114, 48), (48, 86)); times (0.8, 0.6) it is 150 (0.8, 0.6)."""
    for sign in (1, -1):
        by_hand = {"components_0": sign * np.array([[0.8, 0.6]]), "mean_0": np.array([7.0, 8.0])}
        assert result("pca_fit", **by_hand)["verdict"] == "PASS"
    judged = result("pca_fit", components_0=np.array([[0.6, 0.8]]))
    assert judged["score"] == 2
    assert "want: [[0.8, 0.6]]" in judged["message"]
    assert "want: [7., 8.]" in result("pca_fit", mean_0=np.array([8.0, 7.0]))["message"]


# --------------------------------------------------------------------------- right answers


@pytest.mark.parametrize("task", TASKS)
def test_right_answers_have_full_marks_and_no_hint(task):
    judged = result(task)
    assert judged == common.question(task, judged["label"], FULL[task]) | {
        "score": FULL[task],
        "verdict": "PASS",
        "message": judged["message"],
    }
    assert "\n" not in judged["message"]


def test_what_is_free_costs_nothing():
    far = right("e_step")["gamma_3"].copy()
    far[6:] = np.nan
    assert points("e_step", gamma_3=far) == 10
    assert points("e_step", gamma_3=np.zeros(0)) == 10
    assert points("e_step", **each("e_step", "gamma", lambda gamma: gamma.astype(np.float32))) == 10
    assert points("m_step", **each("m_step", "covs", lambda covs: covs + 1e-6 * np.eye(covs.shape[-1]))) == 10
    assert points("pca_fit", **each("pca_fit", "components", lambda c: -c)) == 8
    assert points("pca_fit", **each("pca_fit", "components", lambda c: c.astype(complex))) == 8
    assert points("pca_fit", **each("pca_fit", "mean", lambda mean: mean[None])) == 8
    turn = np.array([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    assert points("pca_fit", components_2=turn @ right("pca_fit")["components_2"]) == 8


def stretched(pixels: np.ndarray) -> np.ndarray:
    return (pixels - pixels.min()) / (pixels.max() - pixels.min()) * 255


def test_pictures_may_be_clipped_or_stretched_rounded_or_cut():
    for finish in (stretched, lambda p: np.rint(np.clip(p, 0, 255)), lambda p: np.clip(np.rint(p), 0, 255)):
        answers = pictures(finish)
        assert checks.score("sample_from_gmm", inputs_of("sample_from_gmm"), answers)["score"] == 7


# --------------------------------------------------------------------------- partial credit


def variants() -> dict[str, dict[str, tuple[common.Arrays, float]]]:
    """Several faults together, and faults in one case or row only: single ones are in the corpus."""
    e, m, p = (inputs_of(task) for task in ("e_step", "m_step", "pca_fit"))
    bare = {f"gamma_{i}": e_step.softmax(e_step.log_densities(e, i)) for i in range(4)}
    pi, means, covs = (each("m_step", name, lambda array: 1.01 * array) for name in ("pi", "means", "covs"))
    x_changed = {"x_after_0": m["x_0"] - 1}
    ascending = each("pca_fit", "components", lambda c: c[::-1])
    no_mean = each("pca_fit", "mean", lambda mean: np.zeros(0))
    moved = {"x_after_1": p["x_1"] - 40}
    return {
        "e_step": {
            "pi forgotten and x changed": (bare | {"x_after_1": e["x_1"] + 1}, 5),
            "one row of a thousand": ({"gamma_1": right("e_step")["gamma_1"] + 0.01 * np.eye(1030, 4, k=-1000)}, 0),
            "near a far point": ({"gamma_3": right("e_step")["gamma_3"] + 0.01 * np.eye(12, 3)}, 0),
        },
        "m_step": {
            "pi and means": (pi | means, 5),
            "all": (pi | means | covs, 0),
            "pi in one case only": ({"pi_2": pi["pi_2"]}, 8),
            "x changed and pi wrong": (x_changed | pi, 5),
            "x changed and covs wrong": (x_changed | covs, 5),
            "x changed, means and covs wrong": (x_changed | means | covs, 2),
        },
        "pca_fit": {
            "ascending, no mean": (ascending | no_mean, 3),
            "columns of ascending": (each("pca_fit", "components", lambda c: c[::-1].T), 5),
            "x changed, no mean": (moved | no_mean, 4),
            "x changed and ascending": (moved | ascending, 4),
            "imaginary": (each("pca_fit", "components", lambda c: 1j * c), 2),
            "one too many": (each("pca_fit", "components", lambda c: np.concatenate([c, c[:1]])), 2),
            "wrong in the last case": ({"components_3": np.eye(10, 196)}, 2),
        },
        "sample_from_gmm": {
            "black": (pictures(np.zeros_like), 2),
            "no file in the last case": ({"form_1": np.zeros(3)}, 0),
            "too few": ({"images_0": right("sample_from_gmm")["images_0"][:-1]}, 0),
        },
    }


def test_partial_credit():
    for task, of_task in variants().items():
        for name, (changes, wanted) in of_task.items():
            judged = result(task, **changes)
            assert (judged["score"], judged["verdict"]) == (wanted, "WRONG"), (task, name, judged)
            assert judged["message"].strip() and judged["hint"], name


# --------------------------------------------------------------------------- answers that hold anything

VALUES = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e308, -1e308, 1e-320, 2.0**63)
DTYPES = ("bool", "int8", "int64", "uint8", "float16", "float32", "float64", "complex128")


def one_wrong(array: np.ndarray, value: float, dtype: str, n: int) -> np.ndarray:
    array = array.astype(np.float64)
    # Next to nothing added would be as good as right.
    array[np.unravel_index(n % array.size, array.shape)] += value if abs(value) > 1e-300 else 1.0
    return array


SPOIL = {  # ways to make a right answer wrong
    "missing": lambda array, value, dtype, n: None,
    "one number wrong": one_wrong,
    "one value all over": lambda array, value, dtype, n: np.full(array.shape, value).astype(dtype),
    "huge": lambda array, value, dtype, n: (array + 1.0) * 1e300,
    "imaginary": lambda array, value, dtype, n: array + 1j * (1 + np.abs(array.astype(np.float64))),
    "cut": lambda array, value, dtype, n: array[..., :-1].astype(dtype),
    # Right numbers in another shape are forgiven at times.
    "flat": lambda array, value, dtype, n: array.reshape(-1, 1, 1) + 1.0,
    "an axis more": lambda array, value, dtype, n: np.stack([array] * (2 + n % 2), n % (array.ndim + 1)).astype(dtype),
    "empty": lambda array, value, dtype, n: np.zeros((0, 3) if n % 2 else 0, dtype),
    "noise": lambda array, value, dtype, n: np.random.default_rng(n).normal(size=array.shape) * 10.0 ** (n % 200),
    "one number": lambda array, value, dtype, n: np.array(value).astype(dtype),
}
SPOILS = st.tuples(st.sampled_from([*SPOIL]), st.sampled_from(VALUES), st.sampled_from(DTYPES), st.integers(0, 10**6))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", TASKS)
def test_answers_may_hold_anything_and_never_pass(task):
    # Of the far points all but the near ones among them is forgiven, and an empty form means a good picture.
    names = [name for name in right(task) if name != "gamma_3" and not name.startswith("form")]
    others = [name for name in right(task) if name not in names]

    @settings(max_examples=80, deadline=None)
    @given(
        st.dictionaries(st.sampled_from(names), SPOILS, min_size=1, max_size=4),
        st.dictionaries(st.sampled_from(others), SPOILS) if others else st.just({}),
    )
    def judge(wrong, wrong_too):
        with np.errstate(all="ignore"):
            changes = {name: SPOIL[kind](right(task)[name], *how) for name, (kind, *how) in wrong.items()}
            changes |= {name: SPOIL[kind](np.ones((2, 3)), *how) for name, (kind, *how) in wrong_too.items()}
        judged = result(task, **changes)
        assert judged["verdict"] == "WRONG"
        assert 0 <= judged["score"] < FULL[task]
        assert judged["message"]
        assert len(judged["message"]) < 5000

    judge()


def test_no_answer_at_all_is_worth_nothing():
    for task in TASKS:
        judged = checks.score(task, inputs_of(task), {})
        assert (judged["score"], judged["verdict"]) == (0, "WRONG"), task


def test_a_form_of_any_numbers_is_told():
    for number in (np.longdouble("1e4900"), np.nan, -np.inf, 2.0**63, 1j):
        cause, hint = sampling.wrong_file(np.array([4, number, 1]))
        assert "pixels, not 28 x 28" in cause and len(cause) < 100 and hint


def test_an_array_of_many_axes_is_told_by_its_shape():
    assert common.shown(np.zeros([6] * 8)) == "an array of shape (6, 6, 6, 6, 6, 6, 6, 6)"
    assert len(common.shown(np.random.default_rng(0).normal(size=(10, 50, 50)))) < 3000


def test_an_answer_that_our_code_stumbles_over_costs_its_own_question(monkeypatch):
    def score(name, *_):
        if name == "m_step":
            raise ValueError("too many digits")
        return {"id": name, "verdict": "PASS"}

    seeds = []

    def run(self, name, inputs, *, settings, **_):
        seeds.append(settings["seed"])
        return sandbox.Outcome("done", arrays={})

    monkeypatch.setattr(checks, "score", score)
    monkeypatch.setattr(sandbox.Box, "run", run)
    judged = {entry["id"]: entry for entry in checks.check_code(b"", seed=2026)}
    assert (judged["m_step"]["verdict"], judged["m_step"]["score"]) == ("CRASH", 0)
    assert judged["m_step"]["message"] == "its answers cannot be judged (ValueError)"
    assert {entry["verdict"] for name, entry in judged.items() if name != "m_step"} == {"PASS"}
    assert len(set(seeds)) == len(judged)  # the seed that decides the questions stays with us
    assert 2026 not in seeds


def test_secret_seeds_depend_on_key_student_and_question_and_reach_no_child():
    seeds = [checks.secret_seeds(key, whose) for key in ("a", "b") for whose in ("PB1", "PB2")]
    every = [seed for one in seeds for seed in one.values()]
    assert len(set(every)) == 4 * len(TASKS) and min(every) > 2**200
    assert checks.secret_seeds("a", "pb1") == seeds[0]
    seen = {}

    class Box(sandbox.Box):
        def run(self, name, inputs, *, settings, limits):
            seen[name] = inputs, settings["seed"]
            return sandbox.Outcome("crash")

    checks.check_code(b"", seed=seeds[0], box=Box(b""))
    for name, (inputs, its_own) in seen.items():
        assert all(np.array_equal(inputs[key], array) for key, array in inputs_of(name, seeds[0][name]).items()), name
        assert its_own < 2**32, name
