"""train.py --sweep: the grid, its table and picture, and going on after a stop."""

import csv
import shutil

import pytest
from matplotlib.figure import Figure
from tqdm import tqdm

import submission
import train
from grading import scores
from hi_mnist import runs
from hi_mnist.runs import TrainConfig
from report import sweep

GRID = ["embedding_dim=5,8", "seed=0,1"]


@pytest.fixture(scope="module")
def swept(standin, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps") / "grid"
    base = TrainConfig(use_pca=True, dataset="digits", max_iter=5)
    text = sweep.run(sweep.parse(GRID, base), GRID, folder)
    return folder, base, text


def rows(folder):
    with (folder / "sweep.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_combination_is_a_run_of_its_own_that_can_be_graded(swept):
    folder, _, _ = swept
    names = {"embedding_dim=5_seed=0", "embedding_dim=5_seed=1", "embedding_dim=8_seed=0", "embedding_dim=8_seed=1"}
    assert {path.name for path in folder.iterdir()} == names | {"sweep.csv", "sweep.png"}
    assert all((folder / name / "trace.safetensors").is_file() for name in names)
    run = runs.load_run(folder / "embedding_dim=8_seed=1")
    assert (run.config.embedding_dim, run.config.seed, run.config.max_iter) == (8, 1, 5)


def test_the_table_holds_what_grade_says(swept, code_unchecked):
    folder, _, text = swept
    report = scores.grade(runs.load_run(folder / "embedding_dim=5_seed=0"), b"")
    row = rows(folder)[0]
    assert row["run"] == "embedding_dim=5_seed=0"
    for ours, theirs in (("accuracy", "accuracy"), ("nmi", "nmi"), ("davies_bouldin", "db"), ("log_likelihood",) * 2):
        assert float(row[ours]) == pytest.approx(report[theirs], rel=1e-4)
    assert float(row["score"]) == pytest.approx(report["questions"][-1]["score"], rel=1e-4)
    assert text.count("<- best") == 1


def test_the_picture_joins_only_what_can_be_compared_on_whole_axes_and_marks_the_best(swept, tmp_path, monkeypatch):
    drawn, table = [], sweep.read_csv(swept[0] / "sweep.csv")
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (drawn.append(figure), path.touch()))
    for keys in (["embedding_dim", "seed"], ["seed", "embedding_dim"], ["seed"]):
        sweep.plot(table, keys, "title", tmp_path / "sweep.png")
        axes = dict(zip(sweep.MEASURES, drawn[-1].axes, strict=True))
        lines = {measure: {line.get_linestyle() for line in axis.lines} for measure, axis in axes.items()}
        assert lines["accuracy"] == {"-", "None"}
        assert (lines["log_likelihood"] == {"None"}) == (len(keys) > 1)  # there, embedding_dim is along the axis
        assert all(axis.get_ylim()[0] == 0 for measure, axis in axes.items() if measure != "log_likelihood")
        assert axes["accuracy"].get_ylim()[1] == 1 and axes["score"].get_ylim()[1] >= 30
        assert [*axes["nmi"].lines[-1].get_ydata()] == [sweep.best_row(table)["nmi"]]
        assert f"seed {sweep.best_row(table)['seed']}" in drawn[-1].legends[0].get_texts()[-1].get_text()


def test_a_stopped_sweep_goes_on_and_keeps_what_is_there(swept, tmp_path):
    folder, base, _ = swept
    again = shutil.copytree(folder, tmp_path / "grid")
    shutil.rmtree(again / "embedding_dim=5_seed=1")
    kept = (again / "embedding_dim=8_seed=0" / "gmm" / "gmm.safetensors").stat().st_mtime_ns
    sweep.run(sweep.parse(GRID, base), GRID, again)
    assert (again / "embedding_dim=8_seed=0" / "gmm" / "gmm.safetensors").stat().st_mtime_ns == kept
    before, after = rows(folder), rows(again)
    assert [row["run"] for row in before] == [row["run"] for row in after]
    for old, new in zip(before, after, strict=True):
        assert {k: v for k, v in old.items() if k != "seconds"} == {k: v for k, v in new.items() if k != "seconds"}


def test_a_slip_is_said_once_for_all_runs(swept, tmp_path, capsys, monkeypatch):
    fit = submission.PCA.fit

    def off(self, X):
        [*tqdm([0], desc="a bar of the step")]
        fit(self, X)
        self.mean = self.mean + 1

    monkeypatch.setattr(submission.PCA, "fit", off)
    monkeypatch.setattr(sweep.os, "cpu_count", lambda: 1)  # in this process
    sweep.run(sweep.parse(["seed=0,1"], swept[1]), ["seed=0,1"], tmp_path / "grid")
    said = capsys.readouterr().err
    assert said.count("warning: 2.1 PCA: mean is wrong; python -m grading submission.py --only") == 1
    assert "training" in said and "a bar of the step" not in said  # several processes would draw it at one place


def test_a_run_whose_row_was_lost_is_scored_and_not_trained_again(swept, tmp_path):
    folder, base, _ = swept
    again = shutil.copytree(folder, tmp_path / "grid")
    (again / "sweep.csv").unlink()
    sweep.run(sweep.parse(GRID, base), GRID, again)
    assert [row["seconds"] for row in rows(again)] == [""] * 4
    assert [row["accuracy"] for row in rows(again)] == [row["accuracy"] for row in rows(folder)]


def test_a_grid_that_cannot_be_is_one_line(run_script, standin):
    for items, cause in (
        ("lr=3", "embedding_dim, n_components, max_iter, seed"),
        ("seed", "seed"),
        ("seed=1 seed=2", "twice"),
        ("seed=a", "integers"),
        ("seed=", "integers"),
        ("embedding_dim=785", "784"),
        ("max_iter=0", "at least 1"),
        ("seed=" + ",".join(map(str, range(501))), "500"),
    ):
        outcome = run_script(train, "--use_pca", "--dataset", "digits", "--sweep", *items.split())
        assert (outcome.status, outcome.err.count("\n")) == (2, 1), items
        assert cause in outcome.err
    # Without PCA the network sets the dimensions.
    assert "--use_pca" in run_script(train, "--dataset", "digits", "--sweep", "embedding_dim=5").err


def test_a_folder_of_another_sweep_or_other_things_and_a_damaged_table_are_refused(swept, run_script, tmp_path):
    again = shutil.copytree(swept[0], tmp_path / "grid")
    (again / "sweep.csv").write_text("run,seed\na,b\n", encoding="utf-8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    mine = tmp_path / "mine"
    for folder, max_iter, cause in ((swept[0], 7, "settings"), (mine, 5, "notes.txt"), (again, 5, "sweep.csv")):
        options = ["--use_pca", "--dataset", "digits", "--max_iter", max_iter, "--results_path", folder]
        outcome = run_script(train, *options, "--sweep", *GRID)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1), cause
        assert cause in outcome.err
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]
