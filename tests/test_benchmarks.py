"""The side-by-side suite: the peers are correct, timing works, and the tables hold the results."""

import functools
import json
import os
import sys

import numpy as np
import pytest
from companion import one_thread  # noqa: F401
from sklearn.decomposition import PCA

from benchmarks import __main__ as suite
from benchmarks import functions, peers, results, timing
from benchmarks.plan import Row
from hi_mnist import data
from hi_mnist.cli import LabError


@pytest.fixture
def on_the_standin(monkeypatch, standin):
    monkeypatch.setattr(suite.prepare, "ensure", lambda *_: "digits")


# --------------------------------------------------------------------------- the sides do the same work


def test_all_three_sides_take_the_same_iterations():
    samples = functions.blobs(3_000, 4)
    ours, sklearn, textbook = (fit(samples, 5)() for fit in functions.SIDES.values())
    assert len(ours.log_likelihoods) == sklearn.n_iter_ == 5
    assert ours.log_likelihoods[-1] == pytest.approx(sklearn.lower_bound_, rel=1e-12)
    for theirs in (
        (sklearn.means_, sklearn.covariances_, sklearn.weights_),
        (textbook.means, textbook.covs, textbook.pi),
    ):
        for one, other in zip((ours.means, ours.covs, ours.pi), theirs, strict=True):
            assert np.allclose(one, other, rtol=0, atol=1e-10)
    start = functions.started(samples)
    first = peers.TextbookGMM(start.means, start.covs, start.pi).e_step(samples)[1]
    assert first == pytest.approx(ours.log_likelihoods[0], rel=1e-12)


def test_pca_sides_span_the_same_plane(digits):
    rows = data.flatten(digits["test"].images)
    wanted = PCA(10, svd_solver="full").fit(rows.astype(np.float64)).components_
    for side in ("ours", "float64", "float32", "textbook"):
        found = functions.pca_job(side, rows)()
        assert np.allclose(found.T @ found, wanted.T @ wanted, atol=1e-4), side


def test_the_originals_ae_has_the_size_that_is_told():
    ae = peers.original_ae()
    assert round(sum(p.numel() for p in ae.parameters()) / 1e6, 1) == 51.6
    assert peers.encode_one_by_one(ae, np.zeros((2, 1, 28, 28), dtype=np.uint8)).shape == (2, 2)


# --------------------------------------------------------------------------- measuring


def test_jobs_take_turns_and_rest_between_and_the_clock_runs_for_jobs_alone(monkeypatch):
    calls, clock = [], [0.0]

    def work(name, seconds):
        calls.append(name)
        clock[0] += seconds

    monkeypatch.setattr(timing.time, "sleep", lambda _: work("-", 100))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    times = timing.alternate({"a": lambda: work("a", 1), "b": lambda: work("b", 2)}, rounds=3)
    assert "".join(calls) == "ab" + "-a-b-a-b-a-b"
    assert times == {"a": [1] * 3, "b": [2] * 3}


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs Linux's /proc")
def test_peak_memory_is_the_jobs_own():
    assert timing.peak_memory(functools.partial, np.ones, 200 * 2**17) / 2**20 == pytest.approx(200, abs=20)
    with pytest.raises(LabError, match="memory of _exit"):
        timing.peak_memory(os._exit, 1)


def test_a_command_in_its_environment_with_its_output_or_its_error_as_one_line(monkeypatch):
    monkeypatch.setenv("GONE", "1")
    check = "import os; print(os.environ.get('NEW'), 'GONE' in os.environ, 'x' * 10**6)"
    done = timing.run_command(["-c", check], {"NEW": "x", "GONE": ""})
    assert done.output == f"x False {'x' * 10**6}\n" and done.seconds > 0
    with pytest.raises(LabError, match=r"python -c .* failed with status 3: out of luck"):
        timing.run_command(["-c", "import sys; print('out of luck', file=sys.stderr); sys.exit(3)"])


@pytest.mark.skipif(sys.platform == "win32", reason="the system tells no memory")
def test_a_commands_memory_is_its_own_and_not_its_parents():
    held = np.ones(2**25)  # 256 MiB, more than the commands hold
    small, large = (timing.run_command(["-c", f"x = b'x' * ({mebibytes} * 2**20)"]) for mebibytes in (1, 100))
    assert held.sum() == held.size
    assert small.memory < 100 * 2**20
    assert (large.memory - small.memory) / 2**20 == pytest.approx(99, abs=10)


# --------------------------------------------------------------------------- results and tables

ROWS = [
    Row("EM", "scikit-learn", 0.05, 0.2, 6.0, note="1e-15 apart"),
    Row("EM", "textbook", 0.05, 0.2, 1.0, saved=True),
    Row("start", "", 1.5, memory=3 * 2.0**20),
]


def entry(rows: list[Row]) -> dict:
    return results.entry(rows, measured="2026-01-31", machine=timing.machine(), dataset="digits", seconds=3.2)


def test_results_come_back_as_they_were_written_and_the_head_stays(tmp_path):
    (tmp_path / "RESULTS.md").write_text("# By hand\n\nStays.\n\n## old\n\ngoes\n")
    results.write({"em": entry(ROWS)}, tmp_path)
    assert results.rows_of(results.load(tmp_path)["em"]) == ROWS
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.startswith("# By hand\n\nStays.\n\n## em\n")
    assert "goes" not in text
    assert "| EM | scikit-learn | 50 ms | 200 ms | 4x | 6x, missed |" in text
    assert "| EM | textbook | 50 ms | 200 ms (saved) | 4x | 1x |" in text
    assert "| start |  | 1.5 s |  |  |  | 3 MiB |" in text
    assert "1e-15 apart" in text


def test_the_projects_tables_are_those_of_its_results(tmp_path):
    found, readme = results.load(results.FOLDER), tmp_path / "README.md"
    assert list(found) == list(suite.CASES)
    assert (results.FOLDER / "RESULTS.md").read_text(encoding="utf-8").endswith(results.tables(found))
    part = f"{results.BEGIN}\n{results.readme_table(found)}\n{results.END}"
    assert len(part.splitlines()) == 4 + 5
    assert part in results.README.read_text(encoding="utf-8")
    readme.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n")
    results.write_readme(found, readme)
    assert readme.read_text() == f"before\n{part}\nafter\n"
    del found["ae"]
    with pytest.raises(LabError, match="--only ae"):
        results.readme_table(found)


def test_other_files_are_refused_before_the_work(tmp_path):
    for text in ('{"em": 1}', "{", "[1]", '{"em": {"rows": [{"x": 1}]}}'):
        (tmp_path / "RESULTS.json").write_text(text)
        with pytest.raises(LabError, match=r"RESULTS\.json"):
            suite.main(["--only", "startup", "--out", str(tmp_path)])
        assert (tmp_path / "RESULTS.json").read_text() == text, text


# --------------------------------------------------------------------------- the command


def test_quick_run_on_the_stand_in(tmp_path, on_the_standin, capsys, monkeypatch):
    monkeypatch.setattr(timing, "peak_memory", lambda *_: 2.0**20)  # a process each, with scikit-learn and torch
    results.write({"pca": entry(ROWS), "startup": entry(ROWS)}, tmp_path)
    assert suite.main(["--quick", "--only", "em_growth", "startup", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "RESULTS.json").read_text())
    assert list(found) == ["em_growth", "pca", "startup"]
    assert results.rows_of(found.pop("pca")) == ROWS  # not measured again, so not touched
    assert results.rows_of(found["startup"]) != ROWS
    for row in (row for case in found.values() for row in results.rows_of(case)):
        assert row.ours > 0
        assert row.theirs is None or row.theirs > 0
    assert "from submission import GMM" in capsys.readouterr().out


@pytest.mark.slow
def test_quick_run_of_everything(tmp_path, on_the_standin):
    for package in suite.PEERS:
        pytest.importorskip(package, reason="benchmarks/requirements.txt is not installed")
    assert suite.main(["--quick", "--out", str(tmp_path)]) == 0
    assert list(results.load(tmp_path)) == list(suite.CASES)


def test_bad_options_and_missing_peers_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    for arguments, message in (
        (["--quick"], "--out"),
        (["--quick", "--out", "benchmarks/../benchmarks"], "--out"),
        (["--only", "speed"], "--only"),
        (["--only"], "--only"),
        (["--quick", "--only", "ddpm", "--out", str(tmp_path)], "benchmarks/requirements.txt"),
    ):
        with pytest.raises(LabError, match=message):
            suite.main(arguments)
    with pytest.raises(LabError, match="unrecognized"):
        results.main(["--hlep"])
