"""The scripts as a user runs them: the whole chain from another folder, and every kind of bad input."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml
from PIL import Image

import grade
import load_resources
import submission
import train
import utils
import visualization
from hi_mnist import cli, data, files, idx, prepare, projections, runs, training
from hi_mnist.networks import DDPM_NETWORK, save_network
from hi_mnist.runs import TrainConfig

ROOT = files.ROOT
SETTLED = {"config.yaml", "gmm/config.json", "gmm/gmm.safetensors", "pca/config.json", "pca/pca.safetensors"}
PICTURES = {f"{kind}_{name}.png" for kind in ("true", "cluster") for name in ("pca", "tsne", "ae")}
SIXES = {"gmm_sample.png", "ddpm_sample.png"}
ALLOWED = {"report.html", "explore.html", "comparison.csv", "report.md"}  # further files that the design names


def lines(err: str) -> list[str]:
    """What stands on standard error besides progress bars."""
    return [line for line in re.split(r"[\r\n]+", err) if line.strip() and not re.search(r"\d+%\||\?", line)]


def refused(outcome, cause: str = "") -> str:
    """Check that a script ended as it does on a user's error; returns its one line."""
    assert outcome.status == 2, outcome
    said = lines(outcome.err)
    assert len(said) == 1, outcome.err
    assert said[0].startswith("error: ")
    assert "Traceback" not in outcome.out + outcome.err
    assert cause in said[0]
    return said[0]


# --------------------------------------------------------------------------- homes and command lines


@pytest.fixture(scope="module")
def prepared(standin, lab_home, networks, tmp_path_factory):
    """A home with the stand-in and no runs, and what a child's environment adds."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(standin, home / standin.name)
    (lab_home / "cache").mkdir(exist_ok=True)
    (home / "cache").symlink_to(lab_home / "cache")  # t-SNE is the same, and slow
    return home


@pytest.fixture
def home(prepared, tmp_path, monkeypatch, with_networks) -> Path:
    """A home of this test's own, which holds the stand-in; the working directory is elsewhere."""
    own = tmp_path / "home"
    shutil.copytree(prepared, own, symlinks=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("LAB_HOME", str(own))
    return own


@pytest.fixture
def run(home, trained_run) -> Path:
    """A run in this test's home, the newest there."""
    (home / "results").mkdir()
    return Path(shutil.copytree(trained_run, home / "results" / "run"))


def environment(home: Path, networks: dict[str, str]) -> dict[str, str]:
    return os.environ | networks | {"LAB_HOME": str(home), "PYTHONUNBUFFERED": "1"}


class Finished(NamedTuple):
    status: int
    out: str
    err: str


def finish(command: list, cwd: Path, env: dict[str, str]) -> Finished:
    done = subprocess.run([sys.executable, *map(str, command)], cwd=cwd, env=env, capture_output=True, timeout=300)
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


# --------------------------------------------------------------------------- the whole chain


class Chain(NamedTuple):
    run: Path
    answer: int  # the cluster of the six
    steps: dict[str, Finished]
    settled: list[dict[str, bytes]]  # the files that nobody may change, after each step
    tree: set[str]
    cwd: Path


@pytest.fixture(scope="module")
def chain(prepared, networks, files_below, digits, tmp_path_factory) -> Chain:
    """train, both visualizations and grade, each as a process of its own in a folder that is not the project's."""
    home = tmp_path_factory.mktemp("chain")
    shutil.copytree(prepared, home, symlinks=True, dirs_exist_ok=True)
    cwd, env = tmp_path_factory.mktemp("elsewhere"), environment(home, networks)
    steps, settled, run, answer = {}, [], None, 0
    for name, *command in (
        ("train", "train.py", "--use_pca", "--dataset", "digits"),
        ("true", "visualization.py"),
        ("cluster", "visualization.py", "--cluster_label"),
        ("grade", "grade.py", "--ddpm_steps", "20", "--sample_index"),
    ):
        script, *flags = command
        steps[name] = finish([ROOT / script, *flags, *([answer] if name == "grade" else [])], cwd, env)
        assert steps[name].status == 0, steps[name]
        if name == "train":
            (run,) = (home / "results").iterdir()
            clusters = runs.cluster_labels(runs.load_run(run), digits["train"].images)
            answer = int(np.bincount(clusters[digits["train"].labels == 6], minlength=10).argmax())
        settled.append({name: content for name, content in files_below(run).items() if name in SETTLED})
    return Chain(run, answer, steps, settled, set(files_below(run)), cwd)


def test_the_run_folder_holds_the_labs_tree_and_nothing_else(chain):
    required = SETTLED | PICTURES | SIXES | {"trace.csv", "grade.json"}
    assert required <= chain.tree <= required | ALLOWED


def test_the_run_is_named_by_its_time(chain):
    time.strptime(chain.run.name, "%Y-%m-%d_%H-%M-%S")


def test_later_scripts_leave_the_models_and_settings_alone(chain):
    assert set(chain.settled[0]) == SETTLED
    assert all(step == chain.settled[0] for step in chain.settled[1:])


def test_nothing_is_written_into_the_working_directory(chain):
    assert list(chain.cwd.iterdir()) == []


def test_each_script_says_what_it_wrote_and_what_comes_next(chain):
    for name, step in chain.steps.items():
        assert str(chain.run) in step.out, name
        assert "\nwrote " in step.out, name
        *_, last = step.out.strip().splitlines()
        assert last.startswith(("next: ", "then: ")), name
    assert "stand-in" in chain.steps["train"].out
    assert "true_pca.png" in chain.steps["true"].out


def test_there_is_no_warning_and_no_traceback(chain):
    for step in chain.steps.values():
        assert lines(step.err) == []


def test_config_holds_what_was_asked_for(chain):
    assert yaml.safe_load((chain.run / "config.yaml").read_text()) == {
        "embedding_dim": 10,
        "use_pca": True,
        "n_components": 10,
        "max_iter": 100,
        "results_path": None,
        "seed": 123,
        "dataset": "digits",
    }


def test_trace_holds_a_likelihood_for_each_iteration(chain):
    header, *rows = (chain.run / "trace.csv").read_text().splitlines()
    assert header == "iteration,mean_log_likelihood"
    numbers = np.array([[float(cell) for cell in row.split(",")] for row in rows])
    assert numbers[:, 0].tolist() == list(range(1, len(rows) + 1))
    assert (np.diff(numbers[:, 1]) > -1e-9).all()
    assert f"{len(rows)} EM iterations" in chain.steps["train"].out


def test_the_chain_is_scored(chain):
    report = json.loads((chain.run / "grade.json").read_text())
    questions = {q["id"]: q for q in report["questions"]}
    assert (questions["sample_index"]["verdict"], questions["sample_index"]["score"]) == ("PASS", 5)
    assert questions["performance"]["score"] >= 29
    assert [questions[name]["score"] for name in ("e_step", "m_step", "pca_fit", "sample_from_gmm")] == [10, 10, 8, 7]
    assert report["sample_index"] == chain.answer
    assert report["dataset"] == report["config"]["dataset"] == "digits"
    assert report["accuracy"] > 0.7
    for text in ("Davies-Bouldin", "accuracy", "mutual information", "Rand", "log-likelihood"):
        assert text in chain.steps["grade"].out


def test_both_sixes_are_pictures_of_28_by_28(chain):
    for name in SIXES:
        with Image.open(chain.run / name) as image:
            assert (image.size, image.mode) == ((28, 28), "L"), name


def test_the_home_holds_nothing_half_written(chain):
    home = chain.run.parent.parent
    assert [p for p in home.rglob("*") if "partial" in p.name] == []


# --------------------------------------------------------------------------- again, and other ways


def test_grading_again_gives_the_same_report_and_fresh_sixes(run, run_script, files_below):
    arguments = ("--sample_index", 2, "--ddpm_steps", 2)
    assert run_script(grade, *arguments).status == 0
    first = files_below(run)
    assert run_script(grade, *arguments).status == 0
    second = files_below(run)
    assert set(first) == set(second)
    assert {name for name in first if first[name] != second[name]} == SIXES


def test_a_sample_seed_draws_the_same_sixes_again(run, run_script, files_below):
    arguments = ("--sample_index", 2, "--ddpm_steps", 2, "--sample_seed", 4)
    assert run_script(grade, *arguments).status == 0
    first = files_below(run)
    assert run_script(grade, *arguments).status == 0
    assert files_below(run) == first


def test_visualizing_again_draws_the_same_pictures(chain, run_script, monkeypatch, networks):
    monkeypatch.setattr(projections, "compute_tsne", None)  # it is cached
    for name, folder in networks.items():
        monkeypatch.setenv(name, folder)
    monkeypatch.setenv("LAB_HOME", str(chain.run.parent.parent))
    before = {name: (chain.run / name).read_bytes() for name in PICTURES}
    assert run_script(visualization).status == 0
    assert {name: (chain.run / name).read_bytes() for name in PICTURES} == before


def test_the_same_seed_trains_the_same_run(home, run_script, files_below):
    for name in "ab":
        assert run_script(train, "--use_pca", "--dataset", "digits", "--results_path", name).status == 0
    first, second = (files_below(Path.cwd() / name) for name in "ab")
    assert {name for name in first if first[name] != second[name]} == {"config.yaml"}  # its results_path


def test_the_newest_run_is_taken_unless_one_is_named(run, home, run_script):
    newest = home / "results" / "a-name-that-sorts-first"
    shutil.copytree(run, newest)
    os.utime(run / "config.yaml", (1, 1))
    assert f"run: {newest}\n" in run_script(grade).out
    assert not (run / "grade.json").exists()
    assert f"run: {run}\n" in run_script(grade, "--results_path", run).out
    assert (run / "grade.json").is_file()


def test_a_relative_results_path_means_what_the_shell_means(home, run_script):
    arguments = ("--use_pca", "--dataset", "digits", "--max_iter", 2, "--results_path", Path("new") / "run")
    assert run_script(train, *arguments).status == 0
    assert (Path.cwd() / "new" / "run" / "config.yaml").is_file()
    assert run_script(grade, "--results_path", Path("new") / "run").status == 0


def test_a_run_goes_into_an_empty_folder_that_is_there(home, run_script, tmp_path):
    (tmp_path / "empty").mkdir()
    arguments = ("--use_pca", "--dataset", "digits", "--max_iter", 2, "--results_path", tmp_path / "empty")
    assert run_script(train, *arguments).status == 0
    assert (tmp_path / "empty" / "config.yaml").is_file()


def test_a_moved_run_is_graded_where_it_lies(run, home, run_script, tmp_path):
    config = TrainConfig.load(run / "config.yaml")
    config.results_path = str(tmp_path / "where it was")
    config.save(run / "config.yaml")
    shutil.move(run, tmp_path / "moved")
    assert run_script(grade, "--results_path", tmp_path / "moved").status == 0
    assert (tmp_path / "moved" / "grade.json").is_file()
    assert not (tmp_path / "where it was").exists()


def test_without_an_index_all_else_is_scored(run, run_script):
    outcome = run_script(grade)
    assert outcome.status == 0
    assert "--sample_index" in outcome.out.splitlines()[-1]
    assert not any((run / name).exists() for name in SIXES)
    questions = {q["id"]: q for q in json.loads((run / "grade.json").read_text())["questions"]}
    assert questions["sample_index"]["verdict"] == "SKIPPED"
    assert questions["performance"]["verdict"] == "PASS"


def test_an_original_run_on_the_stand_in_is_graded_without_change(run, run_script, files_below):
    """config.yaml as the original lab wrote it, to which only the data set was added."""
    text = "embedding_dim: 10\nmax_iter: 100\nn_components: 10\nresults_path: ./results/x\nseed: 42\nuse_pca: true\n"
    (run / "config.yaml").write_text(text + "dataset: digits\n")
    (run / "trace.csv").unlink()
    before = files_below(run)
    assert run_script(grade).status == 0
    assert set(files_below(run)) - ALLOWED == set(before) | {"grade.json"}
    assert all(files_below(run)[name] == content for name, content in before.items())


@pytest.fixture
def ae_run(home, run_script, tmp_path) -> Path:
    path = tmp_path / "ae-run"
    assert run_script(train, "--dataset", "digits", "--max_iter", 5, "--results_path", path).status == 0
    return path


def test_an_ae_run_has_no_pca_and_no_performance(ae_run, run_script, files_below):
    assert set(files_below(ae_run)) == {"config.yaml", "trace.csv", "gmm/config.json", "gmm/gmm.safetensors"}
    assert runs.load_run(ae_run).means.shape == (10, 2)
    outcome = run_script(grade, "--results_path", ae_run, "--sample_index", 1)
    assert outcome.status == 0
    assert not any((ae_run / name).exists() for name in SIXES)
    report = json.loads((ae_run / "grade.json").read_text())
    verdicts = {q["id"]: q["verdict"] for q in report["questions"]}
    assert verdicts["performance"] == verdicts["sample_index"] == "SKIPPED"
    assert report["db"] is not None and report["db_sklearn"] is None


def test_an_ae_run_is_drawn(ae_run, run_script):
    assert run_script(visualization, "--cluster_label", "--results_path", ae_run).status == 0
    assert {p.name for p in ae_run.glob("*.png")} == {name for name in PICTURES if name.startswith("cluster")}


def test_an_ae_named_by_a_relative_path_is_found_from_another_folder(home, run_script, monkeypatch, tmp_path):
    import model

    monkeypatch.delenv("LAB_AE", raising=False)
    save_network(model.AE(embedding_dim=3), "my-ae")
    arguments = ("--dataset", "digits", "--max_iter", 2, "--ae", "my-ae", "--results_path", tmp_path / "run")
    assert run_script(train, *arguments).status == 0
    monkeypatch.chdir(tmp_path)
    assert run_script(grade, "--results_path", tmp_path / "run").status == 0


@pytest.mark.parametrize("script", [train, visualization, grade, load_resources])
def test_help_and_readme_name_the_same_flags(script, capsys):
    with pytest.raises(SystemExit) as stop:
        script.main(["--help"])
    assert stop.value.code == 0
    flags = set(re.findall(r"--\w+", capsys.readouterr().out)) - {"--help"}
    name = Path(script.__file__).name
    (row,) = re.findall(rf"^\| `{name}` \|(.*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)[:1]
    assert set(re.findall(r"--\w+", row)) - {"--help"} == flags


# --------------------------------------------------------------------------- bad command lines


@pytest.mark.parametrize(
    "arguments, cause",
    [
        ("--embedding_dim 0", "embedding_dim must be between 1 and 784, the number of pixels, got 0"),
        ("--embedding_dim 785", "embedding_dim must be between 1 and 784, the number of pixels, got 785"),
        ("--embedding_dim ten", "--embedding_dim: invalid int value: 'ten'"),
        ("--embedding_dim", "--embedding_dim: expected one argument"),
        ("--n_components 0", "n_components must be at least 1, got 0"),
        ("--n_components -5", "n_components must be at least 1, got -5"),
        ("--n_components 1438", "n_components must be at most 1437, the number of training images, got 1438"),
        ("--max_iter -1", "max_iter must be at least 1, got -1"),
        ("--max_iter 0", "max_iter must be at least 1, got 0"),
        ("--max_iter 1e3", "--max_iter: invalid int value: '1e3'"),
        ("--seed -1", "seed must be between 0 and 4294967295, got -1"),
        ("--seed 4294967296", "seed must be between 0 and 4294967295, got 4294967296"),
        ("--dataset cifar", "--dataset: invalid choice: 'cifar'"),
        ("--learning_rate 1", "unrecognized arguments: --learning_rate 1"),
        ("extra", "unrecognized arguments: extra"),
        ("--data_dir here", "--data_dir"),
    ],
)
def test_train_refuses_bad_arguments_and_writes_nothing(home, run_script, files_below, arguments, cause):
    before = files_below(home)
    line = refused(run_script(train, "--use_pca", "--dataset", "digits", *arguments.split()), cause)
    assert len(line) < 400
    assert files_below(home) == before
    assert not (home / "results").exists()
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    "arguments, cause",
    [
        ("--sample_index -1", "--sample_index must be between 0 and 9, got -1"),
        ("--sample_index 10", "--sample_index must be between 0 and 9, got 10"),
        ("--sample_index six", "--sample_index: invalid int value: 'six'"),
        ("--sample_index 1.5", "--sample_index: invalid int value: '1.5'"),
        ("--sample_index", "--sample_index: expected one argument"),
        ("--sample_seed -1", "--sample_seed must be between 0 and"),
        ("--ddpm_steps 0", "--ddpm_steps must be between 1 and 1000, got 0"),
        ("--ddpm_steps 1001", "--ddpm_steps must be between 1 and 1000, got 1001"),
        ("--guidance nan", "--guidance must be between 0 and 20, got nan"),
        ("--guidance -1", "--guidance must be between 0 and 20, got -1.0"),
        ("--results_path nowhere", "there is no run folder"),
        ("--sample_index 3 --ddpm .", "lacks config.json and model.safetensors"),
        ("--points 30", "unrecognized arguments: --points 30"),
    ],
)
def test_grade_refuses_bad_arguments_before_any_work(run, home, run_script, files_below, monkeypatch, arguments, cause):
    monkeypatch.setattr(grade, "grade", None)  # scoring would fail
    before = files_below(home)
    refused(run_script(grade, *arguments.split()), cause)
    assert files_below(home) == before


@pytest.mark.parametrize(
    "arguments, cause",
    [
        ("--results_path nowhere", "there is no run folder"),
        ("--cluster_labels", "unrecognized arguments: --cluster_labels"),
        ("--ae .", "lacks config.json and model.safetensors"),
    ],
)
def test_visualization_refuses_bad_arguments_and_writes_nothing(run, home, run_script, files_below, arguments, cause):
    before = files_below(home)
    refused(run_script(visualization, *arguments.split()), cause)
    assert files_below(home) == before


@pytest.mark.parametrize("script", [grade, visualization])
def test_without_any_run_the_remedy_is_named(home, run_script, script):
    refused(run_script(script), "python train.py --use_pca")


@pytest.mark.parametrize("script", [grade, visualization])
def test_a_file_is_no_run(run, run_script, script):
    refused(run_script(script, "--results_path", run / "config.yaml"), "is a file")


# --------------------------------------------------------------------------- where a run cannot go


def never(*_, **__):
    raise AssertionError("slow work was begun")


def test_results_are_never_overwritten(run, home, run_script, files_below, monkeypatch):
    monkeypatch.setattr(training, "train", never)
    before = files_below(home)
    refused(run_script(train, "--use_pca", "--dataset", "digits", "--results_path", run), "is not empty")
    assert files_below(home) == before


@pytest.mark.parametrize("path", ["file", "file/run", "file/deep/run"])
def test_a_results_path_on_a_file_is_refused_before_any_work(home, run_script, monkeypatch, path):
    monkeypatch.setattr(training, "train", never)
    Path("file").write_text("mine")
    refused(run_script(train, "--use_pca", "--dataset", "digits", "--results_path", path), "is a file")
    assert Path("file").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_refused_before_any_work(home, run_script, monkeypatch, tmp_path):
    monkeypatch.setattr(training, "train", never)
    (tmp_path / "locked").mkdir(mode=0o555)
    arguments = ("--use_pca", "--dataset", "digits", "--results_path", tmp_path / "locked" / "run")
    refused(run_script(train, *arguments), "cannot be written to")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="/proc is Linux's")
def test_a_folder_in_which_nothing_can_be_made_is_one_line(home, run_script):
    arguments = ("--use_pca", "--dataset", "digits", "--max_iter", 2, "--results_path", "/proc/run")
    refused(run_script(train, *arguments), "/proc")


def test_a_name_that_is_too_long_is_one_line(home, run_script):
    refused(run_script(train, "--use_pca", "--dataset", "digits", "--max_iter", 2, "--results_path", "n" * 300))
    assert list(Path.cwd().iterdir()) == []


# --------------------------------------------------------------------------- damaged runs and data


def set_arrays(path: Path, **changes) -> None:
    from safetensors.numpy import load_file, save_file

    save_file(load_file(path) | {name: np.ascontiguousarray(a) for name, a in changes.items()}, path)


DAMAGE = {
    "gmm missing": (lambda run: (run / "gmm/gmm.safetensors").unlink(), "gmm.safetensors is missing"),
    "gmm truncated": (lambda run: os.truncate(run / "gmm/gmm.safetensors", 5000), "gmm.safetensors is damaged"),
    "pca truncated": (lambda run: os.truncate(run / "pca/pca.safetensors", 100), "pca.safetensors is damaged"),
    "nan": (lambda run: set_arrays(run / "gmm/gmm.safetensors", pi=np.full(10, np.nan)), "pi holds NaN"),
    "shape": (lambda run: set_arrays(run / "gmm/gmm.safetensors", means=np.zeros((10, 9))), "means has shape (10, 9)"),
    "no yaml": (lambda run: (run / "config.yaml").unlink(), "config.yaml is missing"),
    "unknown key": (lambda run: (run / "config.yaml").write_text("epochs: 3"), "unknown settings: epochs"),
    "wrong type": (lambda run: (run / "config.yaml").write_text("seed: 1e3"), "seed must be of type int, got '1e3'"),
    "tag": (lambda run: (run / "config.yaml").write_text("!!python/object:os.system {}"), "config.yaml cannot be read"),
    "dim 0": (lambda run: (run / "config.yaml").write_text("use_pca: true\nembedding_dim: 0"), "between 1 and 784"),
}


@pytest.mark.parametrize("script", [grade, visualization])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_refused_and_left_as_it_is(run, home, run_script, files_below, script, damage):
    do, cause = DAMAGE[damage]
    do(run)
    before = files_below(home)
    refused(run_script(script, "--results_path", run), cause)
    assert files_below(home) == before


def test_a_run_on_other_data_is_refused(run, home, run_script, monkeypatch):
    config = TrainConfig.load(run / "config.yaml")
    config.dataset = "mnist"
    config.save(run / "config.yaml")
    monkeypatch.setattr(prepare, "_find", lambda *_: None)  # no source has it
    refused(run_script(grade), "MNIST cannot be had")
    assert not (run / "grade.json").exists()


def overwrite(path: Path, at: int, new: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(new)


@pytest.mark.parametrize(
    "old, new, cause",
    [
        (b'"image2D"', b'"image3D"', "lacks image2D"),
        (b'"dtype":"I64"', b'"dtype":"F64"', "label is float64"),
        (b'"dtype"', b"\0\0\0\0\0\0\0", "is damaged"),
        (b"}}", b"}!", "is damaged"),
    ],
)
def test_corrupt_data_are_one_line_that_names_file_and_remedy(home, run_script, files_below, old, new, cause):
    path = home / "digits_encoded" / "train.safetensors"
    overwrite(path, path.read_bytes().index(old), new)
    before = files_below(home)
    line = refused(run_script(train, "--use_pca", "--dataset", "digits"), cause)
    assert str(path) in line
    assert "load_resources.py" in line
    assert files_below(home) == before


def test_a_label_that_is_no_digit_is_refused(home, run_script):
    path = home / "digits_encoded" / "train.safetensors"
    images, labels = data.load_split("train", "digits")
    overwrite(path, path.read_bytes().index(labels.tobytes()), b"\x0a" + b"\0" * 7)
    refused(run_script(train, "--use_pca", "--dataset", "digits"), "labels run from 0 to 10, not 0 to 9")


def test_truncated_data_are_prepared_again(home, run_script, files_below):
    before = files_below(home / "digits_encoded")
    os.truncate(home / "digits_encoded" / "train.safetensors", 9999)
    outcome = run_script(train, "--use_pca", "--dataset", "digits", "--max_iter", 2)
    assert outcome.status == 0
    assert "preparing it again" in outcome.out
    after = files_below(home / "digits_encoded")
    assert after["train.safetensors"] == before["train.safetensors"]


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bjunk", b"\0\0\x08\x03" + b"\0" * 12, b"<html>404</html>" * 9])
def test_corrupt_idx_files_are_refused_and_nothing_is_kept(home, run_script, files_below, tmp_path, content):
    (tmp_path / "idx").mkdir()
    for name in idx.IDX_NAMES.values():
        (tmp_path / "idx" / name).write_bytes(content)
    before = files_below(home)
    refused(run_script(train, "--use_pca", "--data_dir", tmp_path / "idx"), "train-images")
    assert files_below(home) == before
    assert not (home / "mnist_encoded").exists()


# --------------------------------------------------------------------------- a full disk

FULL_AFTER = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.argv = {argv}
sys.path.insert(0, {root!r})
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def on_a_full_disk(home: Path, networks: dict, limit: int, script: str, *arguments) -> Finished:
    """Run a script that can write no file of more than ``limit`` bytes."""
    pytest.importorskip("resource", reason="limits on file size are POSIX's")
    code = FULL_AFTER.format(limit=limit, argv=[str(ROOT / script), *map(str, arguments)], root=str(ROOT))
    env = environment(home, networks) | {"PYTHONDONTWRITEBYTECODE": "1"}
    return finish(["-c", code], Path.cwd(), env)


def test_a_disk_that_fills_while_a_run_is_saved(home, networks, files_below):
    before = files_below(home)
    outcome = on_a_full_disk(home, networks, 3000, "train.py", "--use_pca", "--dataset", "digits", "--max_iter", 3)
    assert "disk is full" in refused(outcome)
    assert files_below(home) == before
    assert list((home / "results").iterdir()) == []


def test_a_disk_that_fills_while_a_picture_is_drawn(run, home, networks, files_below):
    for name in PICTURES:
        (run / name).write_bytes(b"an older picture")
    projections.project_tsne(data.load_split("train")[0], "digits")  # into the cache
    before = files_below(home)
    assert "disk is full" in refused(on_a_full_disk(home, networks, 20_000, "visualization.py"))
    assert files_below(home) == before


@pytest.mark.parametrize("arguments, limit", [([], 1000), (["--sample_index", "1"], 100)], ids=["report", "sixes"])
def test_a_disk_that_fills_while_a_run_is_graded(run, home, run_script, networks, files_below, arguments, limit):
    assert run_script(grade, "--sample_index", 1, "--ddpm_steps", 1).status == 0
    before = files_below(home)
    assert "disk is full" in refused(on_a_full_disk(home, networks, limit, "grade.py", *arguments))
    assert files_below(home) == before


def test_no_space_left_is_called_by_its_name(home, run_script, files_below, monkeypatch):
    import errno

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr(files.os, "replace", full)
    before = files_below(home)
    refused(run_script(train, "--use_pca", "--dataset", "digits", "--max_iter", 2), "the disk is full (somewhere)")
    assert files_below(home) == before


# --------------------------------------------------------------------------- Ctrl-C

STOP_IN_EM = """
import sys, time
sys.path.insert(0, {root!r})
import submission, train, utils
def slow(self, X):
    print("in EM", flush=True)
    time.sleep(60)
submission.GMM._e_step = slow
sys.exit(utils.run_script(lambda: train.main({argv})))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a child cannot be sent Ctrl-C alone on Windows")
def test_ctrl_c_in_the_middle_of_em_leaves_nothing(home, networks, files_below):
    before = files_below(home)
    code = STOP_IN_EM.format(root=str(ROOT), argv=["--use_pca", "--dataset", "digits"])
    child = subprocess.Popen(
        [sys.executable, "-c", code], env=environment(home, networks), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert any(b"in EM" in line for line in child.stdout)
        child.send_signal(signal.SIGINT)
        err = child.communicate(timeout=60)[1].decode()
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 130
    assert lines(err) == ["stopped: nothing half-written is left behind"]
    assert files_below(home) == before
    assert not (home / "results").exists()


@pytest.mark.parametrize(
    "script, arguments, module, slow",
    [
        (train, ["--use_pca", "--dataset", "digits"], submission.PCA, "save_pretrained"),
        (visualization, [], projections, "compute_tsne"),
        (visualization, ["--cluster_label"], projections, "project_ae"),
        (grade, ["--sample_index", "1", "--ddpm_steps", "2"], utils, "sample_from_ddpm"),
        (grade, [], grade, "grade"),
    ],
)
def test_ctrl_c_anywhere_leaves_nothing_half_written(
    run, home, run_script, files_below, monkeypatch, script, arguments, module, slow
):
    def stop(*_, **__):
        raise KeyboardInterrupt

    cache = home / "empty-cache"
    cache.mkdir()
    monkeypatch.setattr(files, "cache_dir", lambda: cache)
    monkeypatch.setattr(module, slow, stop)
    before = files_below(run)
    outcome = run_script(script, *arguments)
    assert outcome.status == 130
    assert lines(outcome.err) == ["stopped: nothing half-written is left behind"]
    after = files_below(run)
    if "grade.json" in after:  # written before the sixes are drawn, and whole
        assert json.loads(after.pop("grade.json"))["questions"]
    whole = {name for name in after if name.endswith(".png")}  # pictures that were finished before
    assert set(after) - whole == set(before)
    assert all(after[name] == before[name] for name in before)
    for name in whole:
        with Image.open(run / name) as image:
            image.verify()
    assert [p for p in home.rglob("*") if "partial" in p.name] == []


# --------------------------------------------------------------------------- unfilled regions

REGION = r"(?ms)^( *)# BEGIN_YOUR_CODE {label}.*?# END_YOUR_CODE"


@pytest.fixture
def handout(tmp_path):
    """Copy the project, with one region of submission.py left to fill in: ``handout(label) -> its folder``."""

    def make(label: str) -> Path:
        copy = tmp_path / "project"
        copy.mkdir()
        for path in ROOT.glob("*.py"):
            shutil.copy(path, copy)
        for package in ("grading", "insight"):
            shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
        text = (copy / "submission.py").read_text(encoding="utf-8")
        empty = rf'\1# BEGIN_YOUR_CODE {label}\n\1raise NotImplementedError("{label}: write it")\n\1# END_YOUR_CODE'
        text, count = re.subn(REGION.format(label=re.escape(label)), empty, text)
        assert count == 1
        (copy / "submission.py").write_text(text, encoding="utf-8")
        return copy

    return make


@pytest.mark.parametrize("label", ["1.1 E-step", "1.2 M-step", "2.1 PCA"])
def test_an_unfilled_region_is_one_line_with_task_file_and_line(home, networks, handout, files_below, label):
    copy = handout(label)
    before = files_below(home)
    outcome = finish([copy / "train.py", "--use_pca", "--dataset", "digits"], Path.cwd(), environment(home, networks))
    line = refused(outcome, f"{label}: write it")
    (number,) = re.findall(r"submission\.py, line (\d+)", line)
    source = (copy / "submission.py").read_text(encoding="utf-8").splitlines()
    assert label in source[int(number) - 1]
    assert files_below(home) == before


def test_an_unfilled_sampler_is_one_line_and_costs_only_the_sixes(run, home, networks, handout, files_below):
    copy = handout("5.1 sampling")
    before = files_below(run)
    env = environment(home, networks)
    shipped = ROOT / "pretrained" / DDPM_NETWORK.shipped
    env.setdefault("LAB_DDPM", str(shipped))
    outcome = finish([copy / "grade.py", "--sample_index", "1"], Path.cwd(), env)
    refused(outcome, "5.1 sampling: write it")
    after = files_below(run)
    questions = {q["id"]: q for q in json.loads(after.pop("grade.json"))["questions"]}
    assert questions["performance"]["verdict"] == questions["e_step"]["verdict"] == "PASS"
    assert questions["sample_from_gmm"]["score"] == 0
    assert "not attempted" in questions["sample_from_gmm"]["message"]
    assert "not attempted" in after.pop("report.html").decode("utf-8")
    assert after == before


def test_an_error_in_the_students_code_keeps_its_traceback(run_script, home, monkeypatch):
    def wrong(self, X):
        return 1 / 0

    monkeypatch.setattr(submission.GMM, "_e_step", wrong)
    with pytest.raises(ZeroDivisionError):
        run_script(train, "--use_pca", "--dataset", "digits")
    assert not (home / "results").exists()


# --------------------------------------------------------------------------- what a student's code may leave behind


def test_a_run_that_no_later_step_could_read_is_not_saved(run_script, home, monkeypatch):
    fit = submission.PCA.fit

    def two_too_many(self, X):
        self.dim += 2
        fit(self, X)
        self.dim -= 2

    monkeypatch.setattr(submission.PCA, "fit", two_too_many)
    line = refused(run_script(train, "--use_pca", "--dataset", "digits", "--max_iter", 1), "nothing was saved")
    assert "2.1" in line
    assert list((home / "results").iterdir()) == []


SAMPLER = (
    "def sample_from_gmm(gmm, pca, label, path):\n    from PIL import Image\n    target = path / 'gmm_sample.png'\n"
)


@pytest.mark.parametrize(
    "line, cause",
    [
        ("pass", "no gmm_sample.png was written"),
        ("Image.new('L', (2, 2)).save(target)", "2 x 2"),
        ("Image.new('RGB', (28, 28)).save(target)", "mode L"),
        ("target.write_text('six')", "no picture"),
        ("1 / 0", "ZeroDivisionError"),
        ("import os; os._exit(0)", "ended by itself"),
    ],
)
def test_a_sampler_that_leaves_no_proper_picture_is_told_so(run, run_script, monkeypatch, tmp_path, line, cause):
    (tmp_path / "submission.py").write_text(f"{SAMPLER}    {line}\n", encoding="utf-8")
    monkeypatch.setattr(grade, "SUBMISSION", tmp_path / "submission.py")
    refused(run_script(grade, "--sample_index", 1, "--ddpm_steps", 1), cause)
    assert sorted(p.name for p in run.iterdir() if p.suffix == ".png") == []
    assert (run / "grade.json").is_file()


def test_too_large_an_array_names_the_students_line():
    namespace = {}
    code = compile("def f():\n    raise MemoryError\n", str(ROOT / "submission.py"), "exec")
    exec(code, namespace)
    try:
        namespace["f"]()
    except MemoryError as error:
        assert "submission.py, line 2" in cli.explain(error)


# --------------------------------------------------------------------------- where a run may lie


def test_the_next_command_names_a_run_that_is_not_the_newest(run_script, home, tmp_path):
    outside = tmp_path / "my run"
    outcome = run_script(train, "--use_pca", "--dataset", "digits", "--max_iter", 1, "--results_path", outside)
    assert outcome.status == 0
    assert f'python visualization.py --results_path "{outside}"' in outcome.out.splitlines()[-1]
    outcome = run_script(train, "--use_pca", "--dataset", "digits", "--max_iter", 1)
    assert "--results_path" not in outcome.out.splitlines()[-1]


def test_a_run_fills_the_empty_folder_that_the_shell_stands_in(run_script, home, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    inode = here.stat().st_ino
    assert run_script(train, "--use_pca", "--dataset", "digits", "--max_iter", 1, "--results_path", ".").status == 0
    assert here.stat().st_ino == inode
    assert run_script(grade, "--results_path", ".").status == 0


def test_prepared_data_and_caches_are_no_place_for_a_run(run_script, home):
    for folder in ("mnist_encoded", "digits_encoded", "cache"):
        refused(run_script(train, "--use_pca", "--results_path", home / folder / "run"), "name another one")


@pytest.mark.parametrize("script", [train, visualization, grade])
def test_an_empty_results_path_is_refused(run_script, home, script):
    refused(run_script(script, "--results_path", ""), "--results_path is empty")
