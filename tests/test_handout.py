"""The student's copy: no solution, no staff files, and broken markers are errors."""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec

import pytest

from grading import checks
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from labs import catalog
from staff import handout

REGION = "def f():\n    # BEGIN_YOUR_CODE 2.1 PCA\n    return 42\n    # END_YOUR_CODE\n"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("class") / "lab"
    handout.make_handout(out)
    return out


@pytest.fixture(scope="module")
def names(tree):
    return sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())


PAGES = ["docs/lab.en.html", "docs/lab.zh.html"] * bool(find_spec("latex2mathml"))


def test_the_lab_text_goes_out_as_pages_whose_formulas_are_mathml(tree):
    pytest.importorskip("latex2mathml", reason="latex2mathml is in requirements-extra.txt")
    for page in PAGES:
        text, page = ((tree / name).read_text(encoding="utf-8") for name in (page.replace("html", "md"), page))
        code = re.compile(r"^```.*?^```$", re.M | re.S)
        assert page.count("<math ") == len(re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$", code.sub("", text))) > 20
        assert page.count("<pre>") == len(code.findall(text)) and page.count("<table>") == len(
            re.findall(r"^\| -", text, re.M)
        )
        assert not re.findall(r"\$|<script|<link|\\\w+|merror|\*\*|\.md\)|^[-#|] ", page.partition("<main>")[2], re.M)
        assert re.search(r'href="lab\.(en|zh)\.html"', page)


def test_the_handout_has_what_students_need_and_nothing_of_the_staffs(tree, names):
    assert names == sorted(handout.find(handout.STUDENT_FILES) + PAGES)
    assert {
        "submission.py", "train.py", "grade.py", "utils.py", "hi_mnist/training.py", "sandbox/worker.py",
        "report/templates/page.css", "labs/shared.py", "labs/image_clustering/submission.py",
        "labs/fashion_tutorial/tutorial.ipynb", "docs/lab.zh.md", "pretrained/mnist-ae/model.safetensors",
        "requirements.txt", "requirements.lock", ".gitignore", "lab.ipynb",
    } <= set(names)  # fmt: skip
    assert {name.split("/")[0] for name in names if "/" in name} == {
        "docs", "grading", "hi_mnist", "labs", "pretrained", "report", "results", "sandbox", "tests",
    }  # fmt: skip
    assert not {"docs/staff.md", "docs/solution.zh.md"} & set(names)
    assert [name for name in names if name.startswith("tests/")] == ["tests/test_submission.py"]


@pytest.fixture
def source(tmp_path, tree, names):
    """A copy of what the handout is made from."""
    for name in set(names) - set(PAGES):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / "source" / name)
    return tmp_path / "source"


def test_what_lies_about_does_not_go_to_students(tmp_path, source, names):
    for stray in (
        "staff/grade_class.py", "benchmarks/speed.py", "docs/staff.md", "docs/solution.zh.md", "notes.md", "solve.py",
        "tests/test_gmm.py", "tests/textbook.py", "submission.py.orig", "submission.py~", ".submission.py.swp",
        "hi_mnist/.#runs.py", "hi_mnist/__pycache__/runs.cpython-311.pyc", "grading/report.txt", "marks.csv",
        "labs/image_clustering/.ipynb_checkpoints/x-checkpoint.ipynb", "labs/image_clustering/marks.md",
        "report/templates/page.css.bak", "results/2026-01-31/config.yaml", "pretrained/mnist-ae/ae.ckpt",
    ):  # fmt: skip
        (source / stray).parent.mkdir(parents=True, exist_ok=True)
        (source / stray).write_text("secret", encoding="utf-8")
    assert handout.make_handout(tmp_path / "out", source) == names
    # A second solution in a package would go out, but not unnoticed: its tasks are duplicates.
    shutil.copy(source / "submission.py", source / "labs" / "image_clustering" / "copy.py")
    with pytest.raises(LabError, match="tasks"):
        handout.make_handout(tmp_path / "again", source)
    assert not (tmp_path / "again").exists()


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


def test_checks_of_the_skeleton_give_nothing_and_say_not_attempted(tree):
    questions = checks.check_code((tree / "submission.py").read_bytes())
    for q, (name, task) in zip(questions, zip(checks.QUESTIONS, catalog.MAIN_REGIONS, strict=True), strict=True):
        assert (q["id"], q["score"], q["verdict"]) == (name, 0, "ERROR")
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
    for path in tree.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                # What is imported from a package may be one of its modules.
                modules = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
            for file in [module.replace(".", "/") + end for module in modules for end in (".py", "/__init__.py")]:
                assert (tree / file).is_file() or not (ROOT / file).is_file(), f"{path.name} imports {file}"


def test_region_becomes_one_line_and_the_rest_stays():
    text, labels = handout.strip_solution("a = 1\n" + REGION + "b = 2\n", "submission.py")
    assert labels == ["2.1 PCA"]
    assert text.startswith("a = 1\n") and text.endswith("b = 2\n")
    assert "42" not in text and text.count("raise NotImplementedError") == 1
    text = "for all\n<!-- BEGIN_STAFF_ONLY -->\nsecret\n<!-- END_STAFF_ONLY -->\nfor all again\n"
    assert handout.strip_solution(text, "README.md") == ("for all\nfor all again\n", [])


def test_broken_markers_are_errors_that_name_file_and_cause():
    for text, cause in (
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
    ):
        with pytest.raises(LabError, match=cause) as caught:
            handout.strip_solution(text, "submission.py")
        assert "submission.py" in str(caught.value)
    with pytest.raises(LabError, match="never closed"):
        handout.strip_solution("<!-- BEGIN_STAFF_ONLY -->\n", "README.md")


def test_a_lost_task_or_file_makes_no_handout(tmp_path, source):
    (source / "submission.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(LabError, match="tasks"):
        handout.make_handout(tmp_path / "out", source)
    (source / "LICENSE").unlink()
    with pytest.raises(LabError, match="LICENSE"):
        handout.make_handout(tmp_path / "out", source)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_command_writes_folder_and_zip_and_never_overwrites(tmp_path, names):
    out = tmp_path / "lab"
    assert handout.main([str(out), "--zip"]) == 0
    with zipfile.ZipFile(tmp_path / "lab.zip") as archive:
        zipped = {name for name in archive.namelist() if not name.endswith("/")}
    assert zipped == {f"lab/{name}" for name in names}
    with pytest.raises(LabError, match="not empty"):
        handout.main([str(out)])


def test_no_text_holds_a_place_that_was_to_be_filled_and_the_changes_nothing_of_the_staffs(tree):
    texts = {path: path.read_text(encoding="utf-8") for path in tree.rglob("*.md")}
    for path, text in texts.items():
        assert not re.search("^ *[A-Z0-9]+(_[A-Z0-9]+)+ *$", text, re.M), path
    assert "grade.py" in texts[tree / "CHANGELOG.md"]
    assert not re.findall("staff|benchmarks", texts[tree / "CHANGELOG.md"], re.I)
