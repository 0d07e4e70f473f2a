"""Verdicts do not depend on luck: right code passes with every seed, code with a known mistake with none."""

from pathlib import Path

import handins
import numpy as np
import pytest

from grading import checks

pytestmark = pytest.mark.slow
HERE = Path(__file__).resolve().parent
SEEDS = range(1, 201)


def family(name: str, question: str, verdicts: set[str]) -> list[tuple[str, bytes]]:
    """Name and source of a family's cases that make a difference to a question and get one of some verdicts there."""
    cases = [case for case in handins.every(name) if question in case.touched]
    return [(case.name, case.source()) for case in cases if case.expected[question][0] in verdicts]


@pytest.mark.parametrize("question", checks.QUESTIONS)
def test_right_code_passes_with_every_seed_and_wrong_code_with_none(question, tmp_path):
    solved = [(path.name, path.read_bytes()) for path in (HERE.parent / "submission.py", HERE / "textbook.py")]
    right, wrong = solved + family("correct", question, {"PASS"}), family("wrong", question, {"WRONG", "ERROR"})
    assert len(right) > 10 and len(wrong) > 10
    faults = []
    for seed in SEEDS:  # each with one submission of each kind
        for sources, passes in ((right, True), (wrong, False)):
            name, source = sources[seed % len(sources)]
            entry = handins.answered(source, question, tmp_path, seed)
            faults += [(name, seed, entry)] * ((entry["verdict"] == "PASS") != passes)
    assert not faults


def test_right_draws_pass_with_every_seed():
    """Of 2,000 seeds, without the detour through files."""
    for seed in range(2_000):
        inputs, rng = checks.make_inputs("sample_from_gmm", seed), np.random.default_rng([seed, 1])
        answers = {"form_0": np.zeros(0), "form_1": np.zeros(0)}
        for i in range(2):
            label, n = int(inputs[f"label_{i}"]), int(inputs[f"n_{i}"])
            codes = rng.multivariate_normal(inputs[f"means_{i}"][label], inputs[f"covs_{i}"][label], size=n)
            pixels = codes @ inputs[f"components_{i}"] + inputs[f"mean_{i}"]
            answers[f"images_{i}"] = np.clip(np.rint(pixels), 0, 255).astype(np.uint8).reshape(n, 28, 28)
        assert checks.score("sample_from_gmm", inputs, answers)["verdict"] == "PASS", seed
