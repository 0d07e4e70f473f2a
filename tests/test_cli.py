"""The scripts as a user runs them: the whole chain from another folder, and every kind of bad input."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import handins
import numpy as np
import pytest
import yaml
from conftest import full_disk
from PIL import Image

import grade
import load_resources
import submission
import train
import visualization
from grading import scores
from hi_mnist import cli, data, networks, prepare, projections, runs, training
from hi_mnist.files import ROOT
from hi_mnist.runs import TrainConfig
from report import draw

SETTLED = {"config.yaml", "gmm/config.json", "gmm/gmm.safetensors", "pca/config.json", "pca/pca.safetensors"}
PICTURES = {f"{kind}_{name}.png" for kind in ("true", "cluster") for name in ("pca", "tsne", "ae")}
SIXES = set(draw.SIXES)
ALLOWED = {"report.html", "explore.html", "comparison.csv", "report.md", "report_print.html", "trace.safetensors"}
DIGITS = ("--use_pca", "--dataset", "digits")
QUICK = (*DIGITS, "--max_iter", 1)


def lines(err: str) -> list[str]:
    """The lines on standard error apart from progress bars."""
    return [line for line in re.split(r"[\r\n]+", err) if line.strip() and not re.search(r"\d+%\||\?", line)]


def refused(outcome, cause: str = "") -> str:
    """Check that a script ended with status 2 and one line on standard error; returns the line."""
    assert outcome.status == 2, outcome
    said = lines(outcome.err)
    assert len(said) == 1, outcome.err
    assert said[0].startswith("error: ")
    assert "Traceback" not in outcome.out + outcome.err
    assert cause in said[0], said[0]
    return said[0]


def never(*_, **__):
    raise AssertionError("slow work was begun")


@pytest.fixture
def home(standin, lab_home, tmp_path, monkeypatch) -> Path:
    """A separate home that holds the stand-in; the working directory is elsewhere."""
    own = tmp_path / "home"
    shutil.copytree(standin, own / standin.name)
    (own / "cache").symlink_to(lab_home / "cache")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("LAB_HOME", str(own))
    return own


@pytest.fixture
def run(home, trained_run) -> Path:
    """A run in this test's home, the newest there."""
    (home / "results").mkdir()
    return Path(shutil.copytree(trained_run, home / "results" / "run"))


# --------------------------------------------------------------------------- the whole chain


def test_the_whole_chain_from_another_folder(home, digits, files_below, run_script, monkeypatch):
    """train, both visualizations and grade, each in its own process, in a folder outside the project."""

    def call(script: str, *flags) -> str:
        command = [sys.executable, str(ROOT / script), *map(str, flags)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done
        assert lines(done.stderr) == []
        assert str(run or "") in done.stdout and "\nwrote " in done.stdout
        assert done.stdout.strip().splitlines()[-1].startswith(("next: ", "then: "))
        if run:
            assert {name: content for name, content in files_below(run).items() if name in SETTLED} == settled
        return done.stdout

    run = None
    said = call("train.py", *DIGITS)
    (run,) = (home / "results").iterdir()
    settled = {name: content for name, content in files_below(run).items() if name in SETTLED}
    assert set(settled) == SETTLED
    assert "stand-in" in said
    time.strptime(run.name, "%Y-%m-%d_%H-%M-%S")
    defaults = {"embedding_dim": 10, "use_pca": True, "n_components": 10, "max_iter": 100, "results_path": None}
    assert yaml.safe_load((run / "config.yaml").read_text()) == defaults | {"seed": 123, "dataset": "digits"}
    header, *rows = (run / "trace.csv").read_text().splitlines()
    numbers = np.array([[float(cell) for cell in row.split(",")] for row in rows])
    assert header == "iteration,mean_log_likelihood"
    assert numbers[:, 0].tolist() == list(range(1, len(rows) + 1)) and f"{len(rows)} EM iterations" in said
    assert (np.diff(numbers[:, 1]) > -1e-9).all()

    clusters = runs.cluster_labels(runs.load_run(run), digits["train"].images)
    answer = int(np.bincount(clusters[digits["train"].labels == 6], minlength=10).argmax())
    call("visualization.py")
    call("visualization.py", "--cluster_label")
    said = call("grade.py", "--ddpm_steps", 20, "--sample_index", answer)
    for text in ("Davies-Bouldin", "accuracy", "mutual information", "Rand", "log-likelihood"):
        assert text in said
    report = json.loads((run / "grade.json").read_text())
    questions = {q["id"]: q for q in report["questions"]}
    names = ("e_step", "m_step", "pca_fit", "sample_from_gmm", "sample_index")
    assert [questions[name]["score"] for name in names] == [10, 10, 8, 7, 5]
    assert questions["performance"]["score"] >= 29
    assert report["sample_index"] == answer
    assert report["dataset"] == report["config"]["dataset"] == "digits"
    assert report["accuracy"] > 0.7
    for name in SIXES:
        with Image.open(run / name) as image:
            assert (image.size, image.mode) == ((28, 28), "L"), name

    required = SETTLED | PICTURES | SIXES | {"trace.csv", "grade.json"}
    assert required <= set(files_below(run)) <= required | ALLOWED
    assert list(Path.cwd().iterdir()) == []
    assert [p for p in home.rglob("*") if "partial" in p.name] == []
    # Again: t-SNE is cached, and the same pictures come out.
    monkeypatch.setattr(projections, "compute_tsne", never)
    before = {name: (run / name).read_bytes() for name in PICTURES}
    assert run_script(visualization).status == 0
    assert {name: (run / name).read_bytes() for name in PICTURES} == before


# --------------------------------------------------------------------------- again, and other ways


def test_grading_again_gives_the_same_report_and_fresh_sixes_unless_a_seed_is_given(run, run_script, files_below):
    arguments = ("--sample_index", 2, "--ddpm_steps", 2)
    graded = []
    for more in ((), (), ("--sample_seed", 4), ("--sample_seed", 4)):
        assert run_script(grade, *arguments, *more).status == 0
        graded.append(files_below(run))
    assert graded[0].keys() == graded[1].keys()
    assert {name for name in graded[0] if graded[0][name] != graded[1][name]} == SIXES
    assert graded[2] == graded[3]


def test_the_same_seed_trains_the_same_run(home, run_script, files_below):
    for name in "ab":
        assert run_script(train, *DIGITS, "--results_path", name).status == 0
    first, second = (files_below(Path.cwd() / name) for name in "ab")
    assert {name for name in first if first[name] != second[name]} == {"config.yaml"}  # its results_path


def test_the_newest_run_is_taken_unless_one_is_named(run, home, run_script):
    newest = home / "results" / "a-name-that-sorts-first"
    shutil.copytree(run, newest)
    os.utime(run / "config.yaml", (1, 1))
    outcome = run_script(grade)
    assert f"run: {newest} (PCA to 10, K 10)\n" in outcome.out
    assert outcome.out.splitlines()[-1] == "next: python visualization.py"
    assert not any((newest / name).exists() for name in SIXES)  # without an index all else is scored
    questions = {q["id"]: q for q in json.loads((newest / "grade.json").read_text())["questions"]}
    assert questions["sample_index"]["verdict"] == "SKIPPED"
    assert questions["performance"]["verdict"] == "PASS"
    assert not (run / "grade.json").exists()
    assert f"run: {run} (" in run_script(grade, "--results_path", run).out
    assert (run / "grade.json").is_file()


def test_results_path_means_what_the_shell_means(home, run_script, tmp_path):
    inode = Path.cwd().stat().st_ino
    assert run_script(train, *QUICK, "--results_path", ".").status == 0
    assert Path.cwd().stat().st_ino == inode
    assert run_script(grade, "--results_path", ".").status == 0
    assert run_script(train, *QUICK, "--results_path", Path("new") / "run").status == 0
    assert run_script(grade, "--results_path", Path("new") / "run").status == 0
    assert (Path.cwd() / "new" / "run" / "grade.json").is_file()
    outside = tmp_path / "my run"
    outcome = run_script(train, *QUICK, "--results_path", outside)
    assert outcome.out.splitlines()[-1] == f"next: python visualization.py {cli.quoted('--results_path', outside)}"
    outcome = run_script(train, *QUICK)
    assert "--results_path" not in outcome.out.splitlines()[-1]  # the newest run needs no name


def test_a_moved_run_of_the_original_lab_is_graded_where_it_lies_without_change(run, run_script, files_below, tmp_path):
    """config.yaml is as the original lab wrote it, plus the data set; its results_path is no longer right."""
    run = Path(shutil.move(run, tmp_path / "moved"))
    text = "embedding_dim: 10\nmax_iter: 100\nn_components: 10\nresults_path: ./results/x\nseed: 42\nuse_pca: true\n"
    (run / "config.yaml").write_text(text + "dataset: digits\n")
    for name in ("trace.csv", "trace.safetensors"):
        (run / name).unlink()
    before = files_below(run)
    assert run_script(grade, "--results_path", run).status == 0
    assert set(files_below(run)) - ALLOWED == set(before) | {"grade.json"}
    assert all(files_below(run)[name] == content for name, content in before.items())
    assert list(Path.cwd().iterdir()) == []


def test_an_ae_run_has_no_pca_and_no_performance_and_is_drawn(home, run_script, files_below, cheap_tsne, tmp_path):
    run = tmp_path / "ae-run"
    assert run_script(train, "--dataset", "digits", "--max_iter", 5, "--results_path", run).status == 0
    traces = {"trace.csv", "trace.safetensors"}
    assert set(files_below(run)) == {"config.yaml", "gmm/config.json", "gmm/gmm.safetensors"} | traces
    assert runs.load_run(run).means.shape == (10, 2)
    assert run_script(grade, "--results_path", run, "--sample_index", 1).status == 0
    report = json.loads((run / "grade.json").read_text())
    verdicts = {q["id"]: q["verdict"] for q in report["questions"]}
    assert verdicts["performance"] == verdicts["sample_index"] == "SKIPPED"
    assert report["db"] is not None and report["db_sklearn"] is None
    assert run_script(visualization, "--cluster_label", "--results_path", run).status == 0
    assert {p.name for p in run.glob("*.png")} == {name for name in PICTURES if name.startswith("cluster")}


def test_an_ae_named_by_a_relative_path_is_found_from_another_folder(home, run_script, monkeypatch, tmp_path):
    import model

    monkeypatch.delenv("LAB_AE", raising=False)
    networks.save_network(model.AE(embedding_dim=3), "my-ae")
    arguments = ("--dataset", "digits", "--max_iter", 1, "--ae", "my-ae", "--results_path", tmp_path / "run")
    assert run_script(train, *arguments).status == 0
    monkeypatch.chdir(tmp_path)
    assert run_script(grade, "--results_path", tmp_path / "run").status == 0


def test_help_and_readme_name_the_same_flags(capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for script in (train, visualization, grade, load_resources):
        with pytest.raises(SystemExit) as stop:
            script.main(["--help"])
        assert stop.value.code == 0
        flags = set(re.findall(r"--\w+", capsys.readouterr().out)) - {"--help"}
        (row,) = re.findall(rf"^\| `{Path(script.__file__).name}` \|(.*)$", readme, re.MULTILINE)[:1]
        assert set(re.findall(r"--\w+", row)) - {"--help"} == flags


# --------------------------------------------------------------------------- bad command lines

# script, flag, refused values: the error names the flag
BAD = [
    (train, "embedding_dim", ("0", "785", "ten", "")),
    (train, "n_components", ("0", "-5", "1438")),
    (train, "max_iter", ("-1", "0", "1e3")),
    (train, "seed", ("-1", "4294967296")),
    *((train, flag, ("no",)) for flag in ("dataset", "data_dir", "learning_rate")),
    (grade, "sample_index", ("-1", "10", "six", "1.5")),
    (grade, "sample_seed", ("-1",)),
    (grade, "ddpm_steps", ("0", "1001")),
    (grade, "guidance", ("nan", "-1")),
    (grade, "points", ("30",)),
    *((script, "results_path", ("",)) for script in (train, grade, visualization)),
    *((script, "results_path", ("nowhere",)) for script in (grade, visualization)),
    (visualization, "cluster_labels", ("",)),
]
BAD_LINES = [
    (train, "--results_path ~nobody-here/run", "begins with ~"),
    (train, "extra", "unrecognized arguments: extra"),
    (grade, "--sample_index", "--sample_index"),
    (grade, "--hand_in --name Ann", "--hand_in needs --student_id"),
    (grade, "--student_id PB1 --name Ann", "need --hand_in"),
    (grade, "--hand_in --student_id PB1 --name Ann --sample_index 1", "before it"),
    (grade, "--sample_index 3 --ddpm .", "lacks config.json and model.safetensors"),
    (visualization, "--ae .", "lacks config.json and model.safetensors"),
]


def test_bad_arguments_are_one_line_and_nothing_is_written(run, home, run_script, files_below, monkeypatch):
    monkeypatch.setattr(scores, "grade", never)
    before = files_below(home)
    commands = [(script, [f"--{flag}", value], flag) for script, flag, values in BAD for value in values]
    commands += [(script, arguments.split(), line) for script, arguments, line in BAD_LINES]
    for script, arguments, cause in commands:
        line = refused(run_script(script, *(DIGITS if script is train else ()), *arguments), cause)
        assert len(line) < 400
    assert files_below(home) == before
    assert list(Path.cwd().iterdir()) == []


def test_without_a_run_the_remedy_is_named_and_the_code_is_checked(home, run_script):
    for script in (grade, visualization):
        outcome = run_script(script)
        refused(outcome, "python train.py --use_pca")
        assert ("1.1 E-step                  10.00 / 10   PASS" in outcome.out) == (script is grade)
        refused(run_script(script, "--results_path", home / "digits_encoded" / "source.json"), "is a file")


def test_where_a_run_cannot_go_is_said_before_any_work(run, home, run_script, files_below, monkeypatch, tmp_path):
    monkeypatch.setattr(training, "train", never)
    Path("file").write_text("mine")
    before = files_below(home)
    places = [(run, "is not empty"), *((path, "is a file") for path in ("file", "file/run", "file/deep/run"))]
    places += [(home / folder / "run", "name another one") for folder in ("mnist_encoded", "digits_encoded", "cache")]
    if hasattr(os, "geteuid") and os.geteuid() != 0:  # root may write everywhere
        (tmp_path / "locked").mkdir(mode=0o555)
        places.append((tmp_path / "locked" / "run", "cannot be written to"))
    for path, cause in places:
        refused(run_script(train, *DIGITS, "--results_path", path), cause)
    assert files_below(home) == before
    assert Path("file").read_text() == "mine"


def test_a_folder_that_the_system_refuses_is_one_line(home, run_script):
    refused(run_script(train, *QUICK, "--results_path", "n" * 300), "too long")
    if Path("/proc/self").is_dir():
        refused(run_script(train, *QUICK, "--results_path", "/proc/run"), "/proc")
    assert list(Path.cwd().iterdir()) == []


# --------------------------------------------------------------------------- damaged runs and data


def test_a_damaged_run_is_refused_and_left_as_it_is(run, home, run_script, files_below):
    os.truncate(run / "gmm/gmm.safetensors", 5000)  # tests/test_runs.py has all other kinds of damage
    before = files_below(home)
    for script in (grade, visualization):
        refused(run_script(script, "--results_path", run), "gmm.safetensors is damaged")
    assert files_below(home) == before


def test_a_run_on_other_data_is_refused(run, run_script, monkeypatch):
    config = TrainConfig.load(run / "config.yaml")
    config.dataset = "mnist"
    config.save(run / "config.yaml")
    monkeypatch.setattr(prepare, "_find", lambda *_: None)  # no source has it
    refused(run_script(grade), "MNIST cannot be had")
    assert not (run / "grade.json").exists()


def test_corrupt_data_are_one_line_that_names_file_and_remedy(home, run_script, files_below):
    path = home / "digits_encoded" / "train.safetensors"
    whole, label = path.read_bytes(), data.load_split("train", "digits")[1].tobytes()
    for old, new, cause in (
        (b'"image2D"', b'"image3D"', "lacks image2D"),
        (b'"dtype":"I64"', b'"dtype":"F64"', "label is float64"),
        (b'"dtype"', b"\0\0\0\0\0\0\0", "is damaged"),
        (b"}}", b"}!", "is damaged"),
        (label, b"\x0a" + label[1:], "labels"),
    ):
        with path.open("r+b") as file:  # in place: the file keeps its size and its place in the folder
            file.seek(whole.index(old))
            file.write(new)
        before = files_below(home)
        line = refused(run_script(train, *DIGITS), cause)
        assert str(path) in line
        assert "load_resources.py" in line
        assert files_below(home) == before
        with path.open("r+b") as file:
            file.write(whole)
    os.truncate(path, 9999)
    outcome = run_script(train, *QUICK)
    assert outcome.status == 0
    assert "preparing it again" in outcome.out
    assert path.read_bytes() == whole


# --------------------------------------------------------------------------- a full disk


def test_a_disk_that_fills_is_one_line_and_nothing_is_lost(run, home, run_script, files_below, cheap_tsne, monkeypatch):
    projections.make_planes(data.load_split("train", "digits")[0])  # into the cache
    for name in PICTURES:
        (run / name).write_bytes(b"an older picture")
    assert run_script(grade, "--sample_index", 1, "--ddpm_steps", 1).status == 0
    before = files_below(home)
    for limit, script, *arguments in ((3000, train, *QUICK), (20_000, visualization), (1500, grade)):
        with full_disk(limit):
            outcome = run_script(script, *arguments)
        refused(outcome, "disk is full")
        assert files_below(home) == before, script
        assert list((home / "results").iterdir()) == [run]

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr(networks, "draw_digits", full)
    refused(run_script(grade, "--sample_index", 1), "the disk is full (somewhere)")
    assert files_below(home) == before


# --------------------------------------------------------------------------- Ctrl-C


def test_ctrl_c_anywhere_leaves_nothing_half_written(run, home, run_script, files_below, empty_cache, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    before = files_below(run)
    for script, arguments, module, slow in (
        (train, DIGITS, submission.GMM, "_e_step"),
        (train, DIGITS, submission.PCA, "save_pretrained"),
        (visualization, ("--cluster_label",), projections, "project_ae"),
        (visualization, (), projections, "compute_tsne"),
        (grade, ("--sample_index", "1", "--ddpm_steps", "2"), networks, "draw_digits"),
        (grade, (), scores, "grade"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, slow, stop)
            outcome = run_script(script, *arguments)
        assert outcome.status == 130, slow
        assert lines(outcome.err) == ["stopped: nothing half-written is left behind"]
        after = files_below(run)
        if "grade.json" in after:  # written before the sixes are drawn, and whole
            assert json.loads(after.pop("grade.json"))["questions"]
        assert after == before, slow
        assert [p for p in home.rglob("*") if "partial" in p.name] == []
        assert list((home / "results").iterdir()) == [run]


# --------------------------------------------------------------------------- what submission.py may be


@pytest.fixture
def hand_in(tmp_path, monkeypatch):
    """Replace our submission.py: ``hand_in(text)``."""
    (tmp_path / "hand-in").mkdir()
    path = tmp_path / "hand-in" / "submission.py"
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.setattr(grade, "SUBMISSION", path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two texts of the same second and size would share a .pyc

    def put(text: str) -> None:
        monkeypatch.delitem(sys.modules, "submission", raising=False)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")

    yield put
    monkeypatch.setitem(sys.modules, "submission", submission)


def test_an_unfilled_region_is_one_line_before_any_data(home, run_script, hand_in, files_below, monkeypatch):
    monkeypatch.setattr(prepare, "ensure", never)
    solved, before = (ROOT / "submission.py").read_text(encoding="utf-8"), files_below(home)
    for label in ("1.1 E-step", "1.2 M-step", "2.1 PCA"):
        text = handins._fill(solved, label, f'raise NotImplementedError("{label}: write it")\n')
        hand_in(text)
        line = refused(run_script(train, *(DIGITS if "PCA" in label else ())), f"{label}: write it")
        (number,) = re.findall(r"submission\.py, line (\d+)", line)
        assert label in text.splitlines()[int(number) - 1]
    assert files_below(home) == before


def test_a_file_that_cannot_be_read_or_ends_the_script_is_one_line_with_file_and_line(home, run_script, hand_in):
    for text, number in (
        ("x = 1\ndef f(:\n    pass\n", 2),
        ("def f():\nreturn 1\n", 2),
        ("def f():\n    a = 1\n      b = 2\n", 3),
        ("def f():\n    if 1:\n        a = 1\n\tb = 2\n", 4),
        ("x = 'open\n", 1),
        ("import sys\nsys.exit()\n", 2),
    ):
        hand_in(text)
        refused(run_script(train, *DIGITS), f"submission.py, line {number}: ")
    for text in ("x = '\0'\n", "x = '\udcca\udcfd'\n"):  # no text, and text in another encoding
        hand_in(text)
        refused(run_script(train, *DIGITS), "submission.py")
    assert not list(home.glob("results/*"))


def test_a_run_that_no_later_step_could_read_is_not_saved(run_script, home, monkeypatch):
    m_step = submission.GMM._m_step

    def singular_at_last(self, X, gamma):
        m_step(self, X, gamma)
        self.covs[-1] *= not self.log_likelihoods

    monkeypatch.setattr(submission.GMM, "_m_step", singular_at_last)
    line = refused(run_script(train, *QUICK), "nothing was saved")
    assert "1.2 M-step" in line and "component 9" in line
    assert list((home / "results").iterdir()) == []


def test_a_sampler_that_leaves_no_proper_picture_costs_only_the_sixes(run, run_script, hand_in):
    for line, cause in (
        ("from PIL import Image; Image.new('RGB', (28, 28)).save(path / 'gmm_sample.png')", "mode L"),
        ("raise NotImplementedError('5.1 sampling: write it')", "5.1 sampling: write it"),
    ):
        hand_in(f"def sample_from_gmm(gmm, pca, label, path):\n    {line}\n")
        refused(run_script(grade, "--sample_index", 1, "--ddpm_steps", 1), cause)
        assert [p.name for p in run.glob("*.png")] == []
        assert json.loads((run / "grade.json").read_text())["accuracy"] > 0.5


def test_too_large_an_array_names_the_students_line():
    namespace = {}
    exec(compile("def f():\n    raise MemoryError\n", str(ROOT / "submission.py"), "exec"), namespace)
    with pytest.raises(MemoryError) as caught:
        namespace["f"]()
    assert "submission.py, line 2" in cli.explain(caught.value)


def test_the_scripts_start_without_the_students_code_and_without_what_is_slow_to_import():
    code = "import sys, grade, load_resources, train, visualization; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    slow = {"torch", "sklearn", "pyarrow", "huggingface_hub", "PIL", "matplotlib"}
    assert not (slow | {"submission"}) & set(done.stdout.split())
