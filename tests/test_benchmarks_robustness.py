"""The robustness benchmark finds what it looks for."""

import pytest

from benchmarks import robustness
from grading import checks

WRONG = robustness.Submission("wrong", b"class PCA:\n    pass\n", ["pca_fit"])
LOUD = b"import os\nimport numpy as np\nos.chdir('/')\nnp.seterr(all='raise')\nprint('no')\n"


def test_family_holds_both_solutions_in_both_precisions_and_the_corpus():
    names = [submission.name for submission in robustness.family()]
    assert names[:4] == ["submission.py", "submission.py in float32", "textbook.py", "textbook.py in float32"]
    assert len(names) > 40
    assert len(set(names)) == len(names)


def test_plan_gives_every_question_each_seed_and_every_submission_its_turn():
    submissions = robustness.family()
    runs = robustness.plan(submissions, ["e_step", "pca_fit"], range(60), every_case=False)
    assert [seed for seed, question, _ in runs if question == "pca_fit"] == list(range(60))
    able = {s.name for s in submissions if "pca_fit" in s.touched}
    assert {s.name for _, question, s in runs if question == "pca_fit"} == able
    assert len(robustness.plan(submissions, ["pca_fit"], range(3), every_case=True)) == 3 * len(able)


def test_a_false_fail_is_shown_and_sets_the_exit_status(monkeypatch, capsys):
    monkeypatch.setattr(robustness, "family", lambda: [WRONG])
    assert robustness.main(["--runs", "1", "--only", "pca_fit", "--children", "0", "--draws", "0", "--jobs", "1"]) == 1
    assert "pca_fit of wrong, seed 0: TypeError: PCA() takes no arguments" in capsys.readouterr().out


def test_right_submissions_pass_with_margins_and_leave_nothing_behind(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    solved, textbook = robustness.family()[0], robustness.family()[3]
    loud = robustness.Submission("loud", solved.source + LOUD, ["e_step"])
    scored = robustness.score([(1, question, s) for question in ("e_step", "pca_fit") for s in (loud, textbook)])
    assert scored.faults == []
    assert scored.count == 4
    assert all(0 <= part < 1 for part, _ in scored.nearest.values())
    assert {name.split(":")[0] for name in scored.nearest} == {"e_step", "pca_fit"}
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_statistics_of_right_draws_lie_within_their_bounds():
    found, failed = robustness.draw_statistics(range(5))
    assert failed == 0
    assert len(found) == 5
    for low, least, largest, high in found.values():
        assert low < least <= largest < high


@pytest.mark.slow
def test_a_round_through_children():
    submissions = robustness.family()
    assert robustness.score_in_children(0, submissions[0]) == robustness.Scored(len(checks.QUESTIONS), [], {})
