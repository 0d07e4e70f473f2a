"""The student's copy: nothing of the solution, nothing of the staff's, and broken markers are errors."""

import ast
import json
import re
import subprocess
import sys
import zipfile

import pytest

from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from staff import handout

GOLDEN = """
.gitignore
CHANGELOG.md
LICENSE
README.md
docs/gallery/projections.png
docs/gallery/sixes.png
docs/lab.en.md
docs/lab.zh.md
docs/report_template.md
grade.py
grading/__init__.py
grading/__main__.py
grading/answers.py
grading/bubblewrap.py
grading/checks.py
grading/guardian.py
grading/processes.py
grading/sandbox.py
grading/scores.py
grading/table.py
grading/worker.py
hi_mnist/__init__.py
hi_mnist/cli.py
hi_mnist/data.py
hi_mnist/download.py
hi_mnist/files.py
hi_mnist/idx.py
hi_mnist/networks.py
hi_mnist/prepare.py
hi_mnist/projections.py
hi_mnist/runs.py
hi_mnist/scatter.py
hi_mnist/training.py
labs/__init__.py
labs/deep_autoencoder/README.md
labs/deep_autoencoder/__init__.py
labs/deep_autoencoder/__main__.py
labs/deep_autoencoder/analysis.py
labs/deep_autoencoder/bonus.py
labs/deep_autoencoder/colored.py
labs/deep_autoencoder/questions.py
labs/deep_autoencoder/settings.py
labs/deep_autoencoder/submission.py
labs/deep_autoencoder/tasks.py
labs/deep_autoencoder/training.py
labs/fashion_tutorial/README.md
labs/fashion_tutorial/__init__.py
labs/fashion_tutorial/__main__.py
labs/fashion_tutorial/questions.py
labs/fashion_tutorial/settings.py
labs/fashion_tutorial/submission.py
labs/fashion_tutorial/tasks.py
labs/fashion_tutorial/tutorial.ipynb
labs/fashion_tutorial/tutorial.py
labs/image_clustering/README.md
labs/image_clustering/__init__.py
labs/image_clustering/__main__.py
labs/image_clustering/compare.py
labs/image_clustering/pictures.py
labs/image_clustering/pipeline.py
labs/image_clustering/questions.py
labs/image_clustering/settings.py
labs/image_clustering/submission.py
labs/image_clustering/tasks.py
labs/shared.py
load_resources.py
model.py
pretrained/mnist-ae/README.md
pretrained/mnist-ae/config.json
pretrained/mnist-ae/model.safetensors
pretrained/mnist-ddpm/README.md
pretrained/mnist-ddpm/config.json
pretrained/mnist-ddpm/model.safetensors
pyproject.toml
report/__init__.py
report/clusters.py
report/compare.py
report/draft.py
report/explorer.py
report/measures.py
report/pages.py
report/report_page.py
report/sweep.py
report/templates/explore.html.j2
report/templates/page.css
report/templates/report.html.j2
requirements.txt
results/README.md
submission.py
tests/test_submission.py
train.py
utils.py
visualization.py
"""
REGION = "def f():\n    # BEGIN_YOUR_CODE 2.1 PCA\n    return 42\n    # END_YOUR_CODE\n"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("class") / "lab"
    handout.make_handout(out)
    return out


def test_student_gets_exactly_the_listed_files(tree):
    files = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())
    assert files == GOLDEN.split()
    assert not [name for name in files if name.split("/")[0] in ("staff", "benchmarks")]
    assert [name for name in files if name.startswith("tests/")] == ["tests/test_submission.py"]


def test_no_line_of_a_solution_is_left(tree):
    solved = (ROOT / "submission.py").read_text(encoding="utf-8")
    answers, given_anyway, inside = set(), set(), False
    for line in map(str.strip, solved.splitlines()):
        inside = (inside or line.startswith("# BEGIN_")) and not line.startswith("# END_")
        (answers if inside else given_anyway).add(line)
    answers = {line for line in answers - given_anyway if not line.startswith("# BEGIN_")}
    assert len(answers) > 40
    given = (tree / "submission.py").read_text(encoding="utf-8")
    assert not answers & set(map(str.strip, given.splitlines()))
    assert "SOLUTION_ONLY" not in given
    assert "STAFF_ONLY" not in (tree / "README.md").read_text(encoding="utf-8")


def test_each_task_is_one_exception_that_names_it(tree):
    raised = [
        node.exc.args[0].value
        for path in tree.rglob("submission.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and getattr(node.exc.func, "id", "") == "NotImplementedError"
    ]
    assert sorted(text.split(":")[0] for text in raised) == sorted(handout.TASKS | handout.LAB_TASKS)


def test_skeleton_imports_and_says_which_task_is_missing(tree, tmp_path, standin):
    code = "import submission; submission.PCA(2).fit([[1.0, 2.0]])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True)
    assert "NotImplementedError: 2.1 PCA" in done.stderr
    command = [sys.executable, str(tree / "train.py"), "--use_pca", "--dataset", "digits"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "2.1 PCA" in done.stderr
    assert "submission.py, line" in done.stderr


def test_checks_of_the_skeleton_give_nothing_and_say_not_attempted(tree):
    command = [sys.executable, "-m", "grading", "submission.py", "--json", "out.json"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    result = json.loads((tree / "out.json").read_text(encoding="utf-8"))
    (tree / "out.json").unlink()
    assert result["auto_score"] == 0
    questions = result["questions"]
    assert [q["id"] for q in questions] == ["e_step", "m_step", "pca_fit", "sample_from_gmm"]
    for q, task in zip(questions, handout.TASKS, strict=True):
        assert (q["score"], q["verdict"]) == (0, "ERROR")
        assert q["message"].startswith("not attempted: submission.py, line ")
        assert task in q["message"]
        assert "\n" not in q["message"]


def test_tests_of_the_skeleton_say_not_attempted_and_each_has_a_marker(tree):
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "-m", "pca_fit"], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 1
    assert "1 failed, 3 deselected" in done.stdout
    assert "2.1 PCA.fit: 0 of 8 points: ERROR: not attempted: submission.py, line " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "warning" not in done.stdout


def test_whatever_the_students_files_import_is_in_the_handout(tree):
    folders = {"grading", "insight", "staff", "tests", "labs", "benchmarks"}
    ours = {path.stem for path in ROOT.glob("*.py")} | folders
    for path in tree.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{a.name}" for a in node.names] if node.module in folders else [node.module]
            for name in names:
                parts = name.split(".")
                if parts[0] in ours:
                    here = tree.joinpath(*parts)
                    assert here.with_suffix(".py").is_file() or here.is_dir(), f"{path.name} imports {name}"


def test_region_becomes_one_line_and_the_rest_stays():
    text, labels = handout.strip_solution("a = 1\n" + REGION + "b = 2\n", "submission.py")
    assert labels == ["2.1 PCA"]
    assert text.startswith("a = 1\n")
    assert text.endswith("b = 2\n")
    assert "42" not in text
    assert text.count("raise NotImplementedError") == 1


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("# BEGIN_YOUR_CODE 2.1 PCA\n# BEGIN_YOUR_CODE 2.1 PCA\n# END_YOUR_CODE\n", "inside"),
        ("# BEGIN_SOLUTION_ONLY\n# BEGIN_YOUR_CODE 2.1 PCA\n", "inside"),
        ("# BEGIN_YOUR_CODE 2.1 PCA\nx = 1\n", "never closed"),
        ("x = 1\n# END_YOUR_CODE\n", "closes nothing"),
        ("# BEGIN_YOUR_CODE 2.1 PCA\n# END_SOLUTION_ONLY\n", "closes nothing"),
        ("# BEGIN_YOUR_CODE\n# END_YOUR_CODE\n", "no task"),
        ("# BEGIN_YOUR_CODE 9.9 what\n# END_YOUR_CODE\n", "no task"),
        ("# BEGIN_YOURCODE 2.1 PCA\nx = 1\n", "malformed"),
        ("#BEGIN_YOUR_CODE 2.1 PCA\nx = 1\n", "malformed"),
        ("# BEGIN_YOUR_CODE 2.1 PCA\n" + "x = 1\n" * 26 + "# END_YOUR_CODE\n", "25 lines"),
    ],
)
def test_broken_markers_are_errors_that_name_file_and_cause(text, cause):
    with pytest.raises(LabError, match=cause) as caught:
        handout.strip_solution(text, "submission.py")
    assert "submission.py" in str(caught.value)


def test_markdown_loses_what_is_for_staff():
    text = "for all\n<!-- BEGIN_STAFF_ONLY -->\nsecret\n<!-- END_STAFF_ONLY -->\nfor all again\n"
    assert handout.strip_solution(text, "README.md") == ("for all\nfor all again\n", [])
    with pytest.raises(LabError, match="never closed"):
        handout.strip_solution("<!-- BEGIN_STAFF_ONLY -->\n", "README.md")


def test_the_students_changes_name_nothing_they_lack(tree):
    text = (tree / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "grade.py" in text
    assert not re.findall("staff|benchmarks", text, re.I)


def test_a_lost_task_makes_no_handout(tmp_path):
    source = tmp_path / "source"
    for name in handout.STUDENT_FILES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(LabError, match="tasks"):
        handout.make_handout(tmp_path / "out", source)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_command_writes_folder_and_zip_and_never_overwrites(tmp_path, capsys):
    out = tmp_path / "lab"
    assert handout.main([str(out), "--zip"]) == 0
    with zipfile.ZipFile(tmp_path / "lab.zip") as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert names == {f"lab/{name}" for name in handout.STUDENT_FILES}
    with pytest.raises(LabError, match="not empty"):
        handout.main([str(out)])


def test_no_text_holds_a_place_that_was_to_be_filled(tree):
    texts = list(tree.rglob("*.md"))
    assert len(texts) >= 4
    for path in texts:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if re.fullmatch("[A-Z0-9]+(_[A-Z0-9]+)+", line.strip())], path
