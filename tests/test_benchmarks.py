"""The side-by-side suite: the peers are right, the measuring measures, the tables say what was kept."""

import json
import os
import sys
import time

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from benchmarks import __main__ as suite
from benchmarks import cases, peers, results, timing
from benchmarks.cases import Row
from hi_mnist import data
from hi_mnist.cli import LabError


@pytest.fixture
def samples():
    return cases.blobs(3_000, 4)


# --------------------------------------------------------------------------- the sides do the same work


def test_all_three_sides_take_the_same_iterations(samples):
    jobs = [make(samples) for make in (cases.our_iteration, cases.sklearn_iteration, cases.textbook_iteration)]
    for _ in range(5):
        ours, sklearn, textbook = (job() for job in jobs)
    for means, covs, pi in (
        (sklearn.means_, sklearn.covariances_, sklearn.weights_),
        (textbook.means, textbook.covs, textbook.pi),
    ):
        assert np.allclose(ours.means, means, rtol=0, atol=1e-10)
        assert np.allclose(ours.covs, covs, rtol=0, atol=1e-10)
        assert np.allclose(ours.pi, pi, rtol=0, atol=1e-12)


def test_the_textbooks_likelihood_is_the_mixtures(samples):
    start = cases.started(samples)
    mixture = GaussianMixture(cases.K)
    mixture._set_parameters((start.pi, start.means, start.covs, cases._precision_roots(start.covs)))
    _, log_likelihood = peers.TextbookGMM(start.means, start.covs, start.pi).e_step(samples)
    assert log_likelihood == pytest.approx(mixture.score(samples), rel=1e-12)


def test_pca_sides_span_the_same_plane(digits):
    rows = data.flatten(digits["test"].images)
    wanted = PCA(10, svd_solver="full").fit(rows.astype(np.float64)).components_
    for side in ("ours", "float64", "float32", "textbook"):
        found = cases.pca_job(side, rows)()
        assert np.allclose(found.T @ found, wanted.T @ wanted, atol=1e-4), side


def test_the_originals_ae_has_the_size_that_is_told():
    torch = pytest.importorskip("torch")
    ae = peers.original_ae()
    assert round(sum(p.numel() for p in ae.parameters()) / 1e6, 1) == 51.6
    images = np.random.default_rng(0).integers(256, size=(3, 1, 28, 28), dtype=np.uint8)
    with torch.no_grad():
        together = ae["encoder"](torch.from_numpy(images).float() / 255).numpy()
    assert np.allclose(peers.encode_one_by_one(ae, images), together, atol=1e-5)


# --------------------------------------------------------------------------- measuring


def test_jobs_take_turns_and_rest_between(monkeypatch):
    calls = []
    jobs = {name: lambda name=name: calls.append(name) for name in "ab"}
    monkeypatch.setattr(timing.time, "sleep", lambda seconds: calls.append("-"))
    times = timing.alternate(jobs, rounds=3)
    assert "".join(calls) == "ab" + "-a-b-a-b-a-b"
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 3, "b": 3}
    calls.clear()
    times = timing.alternate(jobs, 2, warm_up=False, burst=2)
    assert "".join(calls) == "-aa-bb" * 2
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 4, "b": 4}


def test_times_are_seconds():
    times = timing.alternate({"sleep": lambda: time.sleep(0.05)}, rounds=2, warm_up=False)
    assert all(0.05 <= seconds < 5 for seconds in times["sleep"])


def hold(mebibytes: int):
    """For the test of the memory: a job that holds so much and lets it go."""
    kept = np.ones(50 * 2**17)  # 50 MiB before the job begins: not its own
    return lambda: (kept.sum(), np.ones(mebibytes * 2**17).sum())


def dies():
    os._exit(1)


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs Linux's /proc")
def test_peak_memory_is_the_jobs_own():
    assert timing.peak_memory(hold, 200) / 2**20 == pytest.approx(200, abs=20)
    with pytest.raises(LabError, match="memory of dies"):
        timing.peak_memory(dies)


def test_a_command_that_fails_is_one_line():
    with pytest.raises(LabError, match=r"python -c .* failed with status 3: out of luck"):
        timing.run_command(["-c", "import sys; print('out of luck', file=sys.stderr); sys.exit(3)"])


def test_a_commands_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("GONE", "1")
    check = "import os, sys; sys.exit(os.environ.get('NEW') != 'x' or 'GONE' in os.environ)"
    assert timing.run_command(["-c", check], {"NEW": "x", "GONE": ""}).seconds > 0


@pytest.mark.skipif(sys.platform == "win32", reason="the system tells no memory")
def test_a_commands_memory_is_its_own_and_not_its_parents():
    held = np.ones(2**25)  # 256 MiB, more than what the commands hold
    small, large = (timing.run_command(["-c", f"x = b'x' * ({mebibytes} * 2**20)"]) for mebibytes in (1, 100))
    assert held.sum() == held.size
    assert small.memory < 100 * 2**20
    assert (large.memory - small.memory) / 2**20 == pytest.approx(99, abs=10)


def test_what_a_command_prints_is_returned_however_much():
    assert timing.run_command(["-c", "print('x' * 10**6)"]).output == "x" * 10**6 + "\n"


@pytest.mark.parametrize("text", ['{"em": 1}', "{", "[1]", '{"em": {"rows": [{"x": 1}]}}'])
def test_results_that_are_none_are_refused_before_the_work(tmp_path, text):
    (tmp_path / "RESULTS.json").write_text(text)
    with pytest.raises(LabError, match="holds no results of this suite"):
        suite.main(["--only", "startup", "--out", str(tmp_path)])
    assert (tmp_path / "RESULTS.json").read_text() == text


def test_a_mistyped_option_rewrites_nothing():
    before = results.README.stat().st_mtime_ns
    with pytest.raises(LabError, match="unrecognized"):
        results.main(["--hlep"])
    assert results.README.stat().st_mtime_ns == before


# --------------------------------------------------------------------------- promises and tables


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"theirs": 6.0, "target": 6.0}, True),
        ({"theirs": 5.9, "target": 6.0}, False),
        ({"limit": 1.0}, True),
        ({"limit": 0.9}, False),
        ({"theirs": 60.0, "target": 6.0, "limit": 0.9}, False),
        ({"theirs": 60.0, "target": 6.0, "memory": 2.0, "memory_limit": 1.0}, False),
        ({"theirs": 60.0}, None),
        ({"target": 6.0}, None),
    ],
)
def test_promises(fields, kept):
    assert Row("case", "what", "peer", 1.0, **fields).reached is kept


def kept_rows() -> list[Row]:
    return [
        Row("em", "EM", "scikit-learn", 0.05, 0.2, 6.0, accuracy="1e-15 apart"),
        Row("em", "EM, N = 1,000", "scikit-learn", 0.005, 0.01, series=("N", 1000)),
        Row("em", "EM, N = 9,000", "scikit-learn", 0.05, 0.1, series=("N", 9000)),
        Row("em", "start", "", 1.5, limit=2.0, memory=3 * 2.0**20, memory_limit=2.0**22),
    ]


def facts() -> dict:
    return {"measured": "2026-01-31", "machine": timing.machine(), "dataset": "digits", "seconds": 3.2}


def test_results_come_back_as_they_were_written(tmp_path):
    results.write({"em": results.entry(kept_rows(), **facts())}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["RESULTS.json", "RESULTS.md", "speed.png"]
    assert results.rows_of(results.load(tmp_path)) == kept_rows()
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| EM | scikit-learn | 50 ms | 200 ms | 4x | 6x | no |" in text
    assert "| start |  | 1.5 s |  |  | under 2 s, under 4 MiB | yes | 3 MiB |" in text
    assert "1e-15 apart" in text
    assert str(timing.machine()["cores"]) in text


def test_readme_shows_promised_rows_only(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n")
    results.write_readme({"em": results.entry(kept_rows(), **facts())}, readme)
    text = readme.read_text()
    assert text.startswith(f"before\n{results.BEGIN}\n| what |")
    assert text.endswith(f"|\n{results.END}\nafter\n")
    assert "old" not in text
    assert "N = 1,000" not in text
    assert "| start | 1.5 s |" in text


def test_the_projects_tables_are_those_of_its_results():
    found = results.load(results.FOLDER)
    assert list(found) == list(cases.CASES)
    assert (results.FOLDER / "RESULTS.md").read_text(encoding="utf-8") == results.markdown(found, explained=True)
    assert results.readme_table(found) in results.README.read_text(encoding="utf-8")


def test_what_bounds_is_said_in_the_results_own_figures():
    found = results.load(results.FOLDER)
    before = results.explanation(found)
    for row in found["pca"]["rows"]:
        row["theirs"] *= 2
    changed = results.explanation(found)
    paragraphs = [
        (old, new) for old, new in zip(before.split("- **"), changed.split("- **"), strict=True) if old != new
    ]
    assert [old.split(".")[0] for old, _ in paragraphs] == ["PCA"]
    del found["bounds"]
    with pytest.raises(LabError, match="--only bounds"):
        results.explanation(found)


# --------------------------------------------------------------------------- the command


def test_quick_run_on_the_stand_in(tmp_path, monkeypatch, capsys, standin):
    monkeypatch.setattr(cases.prepare, "ensure", lambda *_: "digits")
    results.write(
        {"pca": results.entry(kept_rows(), **facts()), "fit": results.entry(kept_rows(), **facts())}, tmp_path
    )
    assert suite.main(["--quick", "--only", "em", "em_growth", "pca", "startup", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "RESULTS.json").read_text())
    assert list(found) == ["em", "em_growth", "fit", "pca", "startup"]
    assert results.rows_of({"fit": found["fit"]}) == kept_rows()  # not measured again, so not touched
    assert results.rows_of({"pca": found["pca"]}) != kept_rows()
    for row in results.rows_of({name: found[name] for name in ("em", "em_growth", "pca", "startup")}):
        assert row.ours > 0
        assert row.theirs is None or row.theirs > 0
    assert "from submission import GMM" in capsys.readouterr().out


@pytest.mark.slow
def test_quick_run_of_everything(tmp_path, monkeypatch, standin):
    pytest.importorskip("diffusers", reason="benchmarks/requirements.txt is not installed")
    pytest.importorskip("datasets", reason="benchmarks/requirements.txt is not installed")
    monkeypatch.setattr(cases.prepare, "ensure", lambda *_: "digits")
    assert suite.main(["--quick", "--out", str(tmp_path)]) == 0
    assert list(results.load(tmp_path)) == list(cases.CASES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quick"], "name another folder by --out"),
        (["--quick", "--out", "benchmarks/../benchmarks"], "name another folder by --out"),
        (["--only", "speed"], "invalid choice: 'speed'"),
        (["--only"], "expected at least one argument"),
    ],
)
def test_bad_options_are_one_line(arguments, message):
    with pytest.raises(LabError, match=message):
        suite.main(arguments)


def test_missing_peers_are_named(monkeypatch, tmp_path, standin):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.setattr(cases.prepare, "ensure", lambda *_: "digits")
    with pytest.raises(LabError, match="benchmarks/requirements.txt"):
        suite.main(["--quick", "--only", "ddpm", "--out", str(tmp_path)])
