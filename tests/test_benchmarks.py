"""The side-by-side suite: the peers are correct, timing works, and the tables hold the results."""

import sys

import numpy as np
import pytest
from companion import one_thread  # noqa: F401
from sklearn.decomposition import PCA

from benchmarks import __main__ as suite
from benchmarks import functions, peers, results, timing
from benchmarks.results import Row
from hi_mnist import data
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT


@pytest.fixture
def on_the_standin(monkeypatch, standin):
    monkeypatch.setattr(suite.prepare, "ensure", lambda *_: "digits")


# --------------------------------------------------------------------------- the sides do the same work


def test_all_three_sides_take_the_same_iterations(digits):
    samples = functions.codes_of(digits["train"].images, 4)
    ours, sklearn, textbook = (fit(samples, 5)() for fit in functions.SIDES.values())
    assert len(ours.log_likelihoods) == sklearn.n_iter_ == 5
    assert ours.log_likelihoods[-1] == pytest.approx(sklearn.lower_bound_, rel=1e-12)
    for theirs in (
        (sklearn.means_, sklearn.covariances_, sklearn.weights_),
        (textbook.means, textbook.covs, textbook.pi),
    ):
        for one, other in zip((ours.means, ours.covs, ours.pi), theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * np.abs(other).max())


def test_pca_sides_span_the_same_plane(digits):
    rows = data.flatten(digits["test"].images)
    wanted = PCA(10, svd_solver="full").fit(rows.astype(np.float64)).components_
    for side, fit in functions.PCA_SIDES.items():
        found = fit(rows)
        assert np.allclose(found.T @ found, wanted.T @ wanted, atol=1e-4), side


def test_the_originals_ae_has_the_size_that_is_told():
    ae = peers.original_ae()
    assert peers.size(ae) == "51.6 M"
    assert peers.encode_one_by_one(ae, np.zeros((2, 1, 28, 28), dtype=np.uint8)).shape == (2, 2)


# --------------------------------------------------------------------------- measuring


def test_jobs_take_turns_and_rest_between_and_the_clock_runs_for_jobs_alone(monkeypatch):
    calls, clock = [], [0.0]

    def work(name, seconds):
        calls.append(name)
        clock[0] += seconds

    monkeypatch.setattr(timing.time, "sleep", lambda _: work("-", 100))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    times = timing.alternate({"a": lambda: work("a", 1), "b": lambda: work("b", len(calls))}, rounds=3)
    assert "".join(calls) == "ab" + "-a-b-a-b-a-b"
    assert times == {"a": 1, "b": 9}  # of 5, 9 and 13


def test_a_command_runs_in_its_environment_and_its_error_is_one_line(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "gone")
    check = "import os, sys; sys.exit(os.environ['NEW'] != 'x' or 'PYTHONPATH' in os.environ)"
    assert timing.run_command(["-c", check], {"NEW": "x"}) > 0
    with pytest.raises(LabError, match=r"python -c .* failed with status 3: out of luck"):
        timing.run_command(["-c", "import sys; print('out of luck', file=sys.stderr); sys.exit(3)"])


# --------------------------------------------------------------------------- results and tables

ROWS = [
    Row("EM", "scikit-learn", 0.05, 0.2, 6.0, note="1e-15 apart"),
    Row("EM", "textbook", 0.05, 0.2, 1.0),
    Row("start", "", 1.5),
]


def test_a_section_holds_the_rows_their_notes_and_the_machine():
    text = results.section("em", ROWS, "3 s; data: digits")
    assert text.startswith("## em\n\n| what | peer |") and text.endswith(" data: digits.\n")
    assert "| EM | scikit-learn | 50 ms | 200 ms | 4x | 6x, missed |" in text
    assert "| EM | textbook | 50 ms | 200 ms | 4x | 1x |" in text
    assert "| start |  | 1.5 s |  |  |  |" in text
    assert "EM, scikit-learn: 1e-15 apart" in text


def test_the_projects_results_have_every_case_and_the_readme_repeats_some_of_their_rows():
    kept = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8").splitlines()
    assert [line.removeprefix("## ") for line in kept if line.startswith("## ")] == list(suite.CASES)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    repeated = [line for line in readme.partition("## Speed")[2].partition("\n## ")[0].splitlines() if "|" in line]
    assert len(repeated) == 2 + 6 and set(repeated) <= set(kept)


# --------------------------------------------------------------------------- the command


@pytest.mark.parametrize("cases", [["em", "pca"], pytest.param([*suite.CASES], marks=pytest.mark.slow)], ids=len)
def test_quick_run_on_the_stand_in(cases, on_the_standin, capsys):
    if "ddpm" in cases:
        pytest.importorskip("diffusers", reason="benchmarks/requirements.txt is not installed")
    assert suite.main(["--quick", "--only", *cases]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line.startswith("## ")] == [f"## {case}" for case in cases]
    assert said.count("data: digits") == len(cases)


def test_bad_options_and_missing_peers_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    for arguments, message in (
        (["--only", "speed"], "--only"),
        (["--only"], "--only"),
        (["--quick", "--only", "ddpm"], "benchmarks/requirements.txt"),
        (["--only", "em", "--before", str(tmp_path)], "git worktree"),
    ):
        with pytest.raises(LabError, match=message):
            suite.main(arguments)
