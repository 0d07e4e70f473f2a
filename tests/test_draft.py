"""grade.py --report_draft: all results are filled in, no student text is lost, nothing becomes markup by accident."""

import json
import re
import shutil

import pytest
from PIL import Image
from test_compare import RECORDS

import grade
from grading import scores
from hi_mnist import cli, runs
from hi_mnist.runs import TrainConfig
from hi_mnist.text import markdown
from report import compare, draft, sweep

QUESTIONS = [
    ("1.1 E-step", 10, 10.0, "PASS", "right", ""),
    ("1.2 M-step", 10, 5.0, "WRONG", "covs | <b>are</b> wrong\ninput: x", "divide"),
    ("6 Performance", 30, 0.0, "SKIPPED", "", ""),
]
NAMES = ("label", "points", "score", "verdict", "message", "hint")
GRADE = {
    "questions": [dict(zip(NAMES, question, strict=True)) for question in QUESTIONS],
    **{"auto_score": 15.0, "auto_points": 70, "db": 2.19715, "db_sklearn": None, "accuracy": 0.78},
}


def write_grade(folder, **changes):
    (folder / "grade.json").write_text(json.dumps(GRADE | changes), encoding="utf-8")


def written(folder) -> str:
    draft.write(runs.load_run(folder))
    return (folder / draft.FILE).read_text(encoding="utf-8")


def write_sweep(folder, run_folder, dataset="digits"):
    """A sweep of two runs, as train.py --sweep leaves it."""
    rows = []
    for dim, score in ((5, 20.0), (10, 29.5)):
        name = f"embedding_dim={dim}"
        shutil.copytree(run_folder, folder / name)
        config = TrainConfig.load(folder / name / "config.yaml")
        config.dataset = dataset
        config.save(folder / name / "config.yaml")
        settings = {"embedding_dim": dim, "n_components": 10, "max_iter": 100, "seed": 1}
        measured = dict.fromkeys(sweep.MEASURES, 0.5) | {"score": score, "seconds": float("nan")}
        rows.append({"run": name} | settings | measured)
    sweep.write_csv(folder / "sweep.csv", rows)
    (folder / "sweep.png").write_bytes(b"a picture")


@pytest.fixture
def own_home(monkeypatch, tmp_path):
    """A home without any run."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


# --------------------------------------------------------------------------- what it holds


def test_template_asks_for_every_part_once_and_names_the_points():
    text = draft.TEMPLATE.read_text(encoding="utf-8")
    asked = draft._FILL.findall(text)
    assert sorted(asked) == sorted({"run", "log", "tuning", "scores", "pictures", "projections", "generators"})
    points = [int(n) for n in re.findall(r"^## .*\((\d+)\)$", text, re.MULTILINE)]
    assert points == [2, 5, 2, 20, 1]
    assert [int(n) for n in re.findall(r"^### .*\((\d+)\)$", text, re.MULTILINE)] == [10, 10]


def test_an_almost_empty_run_says_which_commands_fill_the_rest(run_folder, own_home):
    text = written(run_folder)
    assert "<!-- FILL" not in text
    option = f" --results_path {cli.quoted(run_folder)}"
    assert "`python train.py --use_pca --sweep embedding_dim=5,10,20 seed=0,1`" in text
    flags = ("", " --cluster_label", " --compare")
    for command in ("grade.py --sample_index k", *(f"visualization.py{flag}" for flag in flags)):
        assert f"`python {command}{option}`" in text
    assert "| embedding\\_dim | 10 |" in text
    assert re.search(r"EM took \d+ iterations", text)
    for line in draft.TEMPLATE.read_text(encoding="utf-8").splitlines():
        assert line in text or line.startswith("<!-- FILL")


def test_what_is_there_is_filled_in(run_folder, own_home):
    write_grade(run_folder)
    compare.write(run_folder, RECORDS)
    names = [f"{kind}_{name}.png" for kind in ("true", "cluster") for name in ("pca", "tsne", "ae")]
    for name in [*names, "gmm_sample.png", "ddpm_sample.png"]:
        (run_folder / name).write_bytes(b"a picture")
    text = written(run_folder)
    links = re.findall(r"!\[[^]]*\]\(([^)]*)\)", text)
    assert sorted(links) == sorted([*names, "gmm_sample.png", "ddpm_sample.png"])
    assert "| 1.1 E-step | 10.00 / 10 | PASS | right |" in text
    assert "| 1.2 M-step | 5.00 / 10 | WRONG | covs \\| &lt;b&gt;are&lt;/b&gt; wrong |" in text
    assert "| 6 Performance | - / 30 | SKIPPED |  |" in text
    assert "| sum | 15.00 / 70 |" in text
    assert "| Davies-Bouldin (784 pixels, lower is better) | 2.1972 |" in text
    assert "| Davies-Bouldin of scikit-learn | - |" in text
    for table in compare.read(run_folder).values():
        assert f"| | {' | '.join(table['methods'])} |" in text.replace("|  |", "| |")
        for row in table["rows"]:
            assert re.search(rf"^\| {re.escape(markdown(row['label']))} \|", text, re.MULTILINE), row["label"]
        assert all(f"- {markdown(note)}" in text for note in table["notes"])
    assert "`python " not in text.split("## 3")[1]


@pytest.mark.parametrize("place", ["results", "beside the run"])
def test_the_tuning_log_is_the_sweeps(run_folder, own_home, place, tmp_path):
    folder = own_home / "results" / "sweep a" if place == "results" else tmp_path / "grid"
    write_sweep(folder, run_folder)
    if place == "beside the run":
        run_folder = folder / "embedding_dim=10"
    text = written(run_folder)
    part = text.split("## 2.")[1].split("## 3.")[0]
    assert re.search(r"\| 5 \| 20\.000 \|.*\| +\|", part)
    assert re.search(r"\| 10 \| 29\.500 \|.*\| - \| best \|", part)
    assert "n\\_components" not in part  # it does not differ
    (link,) = re.findall(r"!\[sweep\]\(([^)]*)\)", part)
    assert (run_folder / link.replace("%20", " ").replace("%3D", "=")).resolve() == (folder / "sweep.png").resolve()


def test_a_sweep_that_does_not_fit_is_passed_over(run_folder, own_home):
    folder = own_home / "results" / "sweep"
    write_sweep(folder, run_folder, dataset="mnist")
    assert "No sweep" in written(run_folder)
    shutil.rmtree(folder)
    write_sweep(folder, run_folder)
    assert "No sweep" not in written(run_folder)
    head = ",".join(["run", *sweep.KEYS, *sweep.MEASURES])
    for content in (f"{head}\n", "run,seed\na,b\n", "", "\0", '"' + "x" * 200_000):
        (folder / "sweep.csv").write_text(content, encoding="utf-8")
        assert "No sweep" in written(run_folder), content[:20]


def test_nothing_from_a_file_is_markup(run_folder, own_home):
    hostile = "<script>|`x`\u202e\x1b[31m ![a](b)\n# head"
    compare.write(run_folder, [*RECORDS, ("projections", "knn_accuracy", "PCA", hostile)])
    text = written(run_folder)
    assert "\u202e" not in text and "\x1b" not in text
    assert "<script" not in text and "![a]" not in text and "\n# head" not in text
    table = [line for line in text.splitlines() if line.startswith("|") and "nearest neighbours" in line]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in table] == [4]


def test_a_damaged_grade_json_is_an_error_of_one_line(run_folder, own_home, run_script):
    for content in ("", "[]", "{}", '{"questions": [1]}', '{"questions": 3}'):
        (run_folder / "grade.json").write_text(content, encoding="utf-8")
        outcome = run_script(grade, "--report_draft", "--results_path", run_folder)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1), content
        assert "grade.json" in outcome.err
    assert not (run_folder / draft.FILE).exists()
    odd = [{"label": None, "points": "x", "score": float("nan"), "verdict": 3, "message": ["a"]}]
    write_grade(run_folder, questions=odd, auto_score="a", auto_points=True, db=float("inf"), accuracy=[])
    assert "| sum | - / - |" in written(run_folder)  # odd values are dashes


# --------------------------------------------------------------------------- nothing is lost


def test_an_untouched_draft_is_made_anew(run_folder, own_home):
    first, file = written(run_folder), run_folder / draft.FILE
    whole = file.read_bytes()
    for changed in (whole, whole.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + whole):  # as editors may change it
        file.write_bytes(changed)
        assert written(run_folder) == first
    write_grade(run_folder)
    (run_folder / "trace.csv").unlink()
    assert "1.2 M-step" in written(run_folder) and "trace.csv, the likelihood" in written(run_folder)


def test_writing_is_kept_and_becomes_a_page_to_print(run_folder, own_home, run_script, monkeypatch):
    text = written(run_folder)
    file, page = run_folder / draft.FILE, run_folder / draft.PRINT
    write_grade(run_folder)
    Image.new("RGB", (4, 4)).save(run_folder / "true_pca.png")
    monkeypatch.setattr(grade.prepare, "ensure", lambda *_: "digits")
    for name, changed in {
        "filled in": text.replace("name:", "name: Li").encode(),
        "added below": text.encode() + b"more",
        "without its last line": text.rsplit("<!--", 1)[0].encode(),
        "own": "my report: 我的报告 ![plane](true_pca.png)\n".encode(),
        "empty": b"",
    }.items():
        file.write_bytes(changed)
        page.unlink()
        outcome = run_script(grade, "--report_draft", "--results_path", run_folder)
        assert outcome.status == 0 and "kept your text" in outcome.out, name
        assert file.read_bytes() == changed, name
        assert ("我的报告" in page.read_text("utf-8")) == (name == "own") == ("data:image/" in page.read_text("utf-8"))


def test_what_cannot_be_read_in_its_place_is_said_before_the_slow_work_and_stays(run_folder, run_script, monkeypatch):
    monkeypatch.setattr(scores, "grade", lambda *_: pytest.fail("slow work began"))
    monkeypatch.setattr(grade.prepare, "ensure", lambda *_: "digits")
    file = run_folder / draft.FILE
    odd, lost = (lambda: file.write_bytes(b"\xff\xfe\x00")), (lambda: file.symlink_to(run_folder / "elsewhere.md"))
    for put, take in ((odd, file.unlink), (file.mkdir, file.rmdir), (lost, file.unlink)):
        put()
        outcome = run_script(grade, "--report_draft", "--results_path", run_folder)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert "report.md cannot be read" in outcome.err
        take()


# --------------------------------------------------------------------------- the command


def test_command_scores_a_run_that_is_not_scored_yet_and_only_that(
    run_script, run_folder, standin, files_below, monkeypatch
):
    before = set(files_below(run_folder))
    outcome = run_script(grade, "--report_draft", "--results_path", run_folder)
    assert outcome.status == 0, outcome.err
    assert outcome.out.isascii()
    assert {"grade.json", "report.md"} <= set(files_below(run_folder)) - before
    assert "| sum | " in (run_folder / "report.md").read_text(encoding="utf-8")
    monkeypatch.setattr(scores, "grade", lambda *_: pytest.fail("it was scored again"))
    scored = (run_folder / "grade.json").read_bytes()
    assert run_script(grade, "--report_draft", "--results_path", run_folder).status == 0
    assert (run_folder / "grade.json").read_bytes() == scored
