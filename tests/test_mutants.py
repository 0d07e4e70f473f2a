"""The checks recognise wrong mathematics: a mutant of a right solution loses points, or is right as well."""

import functools

import mutants
import numpy as np
import pytest

from grading import checks
from sandbox import worker

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_blas_thread")]

RIDGE = "a ridge of another size: less than float32 resolves beside variances of 1"
# Mutants whose answers differ from the solution's but are right, each with the reason.
RIGHT_AS_WELL = {
    "solution": {
        "m_step: operator swapped: total / n_soft[:, None, None] + 1e-06 * np.eye(... "
        "-> total / n_soft[:, None, None] - 1e-06 * np.eye(...": RIDGE,
        "m_step: right side lost: total / n_soft[:, None, None] + 1e-06 * np.eye(... "
        "-> total / n_soft[:, None, None]": RIDGE,
        "m_step: right side lost: 1e-06 * np.eye(self.data_dim) -> 1e-06": RIDGE,
        "m_step: constant doubled: 1e-06 -> 2e-06": RIDGE,
        "m_step: call left out: np.eye(self.data_dim) -> self.data_dim": RIDGE,
        "sample_from_gmm: call left out: np.rint(pixels) -> pixels": "cut instead of rounded: one grey level at most",
        "sample_from_gmm: 0 and 1 exchanged: 0 -> 1": "black is one grey level too light",
    },
    "textbook": {
        "sample_from_gmm: operator swapped: mean + factor @ noise -> mean - factor @ noise": "the noise is symmetric",
        "sample_from_gmm: 0 and 1 exchanged: 0 -> 1": "black is one grey level too light, or 0.5 is called black",
        "sample_from_gmm: constant doubled: 255 -> 510": "510 becomes 254 or 255, as the processor likes",
    },
}
CASES = [(solution, task) for solution in mutants.SOURCES for task in checks.QUESTIONS]
SLOWEST = ("textbook", "sample_from_gmm")


@functools.cache
def made(solution: str) -> list[mutants.Mutant]:
    return mutants.mutants(solution)


def answers(source: bytes, task: str, seed: int) -> dict[str, np.ndarray] | None:
    """A submission's answers; None when it raises an exception."""
    np.random.seed(seed)
    try:
        module = worker.load(source)
        # The solution's blocks hold more rows than the checks give; small blocks expose slips between blocks.
        module.row_blocks = lambda n_rows, size=0: [slice(at, at + 50) for at in range(0, n_rows, 50)]
        module.in_parallel = map
        return worker.answer(task, module, checks.make_inputs(task, seed), {})
    except Exception:
        return None


def same(some: dict[str, np.ndarray], others: dict[str, np.ndarray] | None) -> bool:
    """Whether answers agree to the last digits; the signs of components are free, and far points only warn."""
    if others is None:
        return False
    for name in some:
        one, other = some[name], others[name]
        if name == "gamma_3":
            continue
        if name.startswith("components"):
            one, other = np.abs(one), np.abs(other)
        if one.shape != other.shape or not np.allclose(one, other, rtol=1e-9, atol=1e-9):
            return False
    return True


def survivors(solution: str, task: str, seed: int) -> tuple[list[mutants.Mutant], int]:
    """The mutants that keep all points, and how many lose some by a wrong answer rather than an exception."""
    inputs, kept, wrong = checks.make_inputs(task, seed), [], 0
    for mutant in made(solution):
        if mutant.task == task and (found := answers(mutant.source, task, seed)) is not None:
            full = checks.score(task, inputs, found)["verdict"] == "PASS"
            kept += [mutant] * full
            wrong += not full
    return kept, wrong


def judge_survivors(solution: str, task: str, seed: int) -> int:
    right = mutants.SOURCES[solution].read_bytes()
    kept, wrong = survivors(solution, task, seed)
    assert wrong >= 5
    expected = answers(right, task, seed + 1)
    unlike = {mutant.name for mutant in kept if not same(expected, answers(mutant.source, task, seed + 1))}
    assert unlike == {name for name in RIGHT_AS_WELL[solution] if name.startswith(task)}
    return wrong


@pytest.fixture(autouse=True)
def folder_to_draw_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("solution", "task"), [pytest.param(*case, marks=[pytest.mark.slow] * (case == SLOWEST)) for case in CASES]
)
def test_a_mutant_loses_points_or_answers_as_the_solution_does(solution, task):
    judge_survivors(solution, task, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
@pytest.mark.parametrize(("solution", "task"), CASES)
def test_the_same_with_other_seeds(solution, task, seed):
    judge_survivors(solution, task, seed)


@pytest.mark.parametrize("solution", mutants.SOURCES)
def test_solutions_have_full_marks_and_many_different_mutants(solution):
    source = mutants.SOURCES[solution].read_bytes()
    for task in checks.QUESTIONS:
        result = checks.score(task, checks.make_inputs(task, 3), answers(source, task, 3))
        assert result["verdict"] == "PASS", result
    found = made(solution)
    assert len(found) > 200
    assert len({mutant.source for mutant in found} | {source}) == len(found) + 1
    for task in checks.QUESTIONS:
        assert sum(mutant.task == task for mutant in found) >= 30
