"""The bundle for Gradescope: what is in it, and its run_autograder run in a scratch folder."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import handins
import pytest

from grading import checks
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from labs import catalog
from staff import handout
from staff.gradescope import __main__ as build
from staff.gradescope import autograder

CODE_POINTS = {"1.1 E-step": 10, "1.2 M-step": 10, "2.1 PCA.fit": 8, "5.1 sampling": 7}
SOLVED = (ROOT / "submission.py").read_text(encoding="utf-8")
SKELETON = handout.student_copy("submission.py")[0].decode()


pytestmark = pytest.mark.skipif(os.name != "posix", reason="Gradescope's containers run Linux")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "bundle.zip"
    assert build.main([str(path), "--seed", "7"]) == 0
    return path


@pytest.fixture
def container(bundle):
    """A folder with Gradescope's layout, which other users may enter, with an empty hand-in."""
    yield from laid_out(bundle)


def laid_out(bundle: Path):
    root = Path(tempfile.mkdtemp(prefix="autograder-"))
    root.chmod(0o755)
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(root / "source")
    (root / "source" / "settings.json").chmod(0o600)
    shutil.copy(root / "source" / "run_autograder", root / "run_autograder")
    (root / "run_autograder").chmod(0o755)
    (root / "submission").mkdir()
    (root / "results").mkdir()
    (root / "environment").symlink_to(sys.prefix)
    try:
        yield root
    finally:
        shutil.rmtree(root)


@functools.cache
def others_may_run_python() -> bool:
    """Whether a user without privileges can start this interpreter, as on Gradescope."""
    try:
        return subprocess.run([sys.executable, "-c", "import numpy"], user=64_000, group=64_000).returncode == 0
    except OSError:
        return False


def run(container: Path, **variables: str) -> dict:
    """Run the bundle's run_autograder; returns what Gradescope would read."""
    if os.geteuid() == 0 and not others_may_run_python():
        variables["LAB_OTHER_USER"] = "0"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LAB_", "PYTHON"))}
    environment |= {"LAB_AUTOGRADER": str(container), "LAB_ENVIRONMENT": str(container / "environment")} | variables
    command = [container / "run_autograder"]
    done = subprocess.run(command, cwd=container, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done
    results = json.loads((container / "results" / "results.json").read_text(encoding="utf-8"))
    assert results["stdout_visibility"] == "hidden"
    fields = {"score", "output", "output_format", "visibility"}
    assert set(results) <= fields | {"execution_time", "stdout_visibility", "tests"}
    for test in results["tests"]:
        assert set(test) == fields | {"name", "max_score", "status"}
        assert test["status"] in ("passed", "failed")
        assert 0 <= test["score"] <= test["max_score"]
    assert not {"results.json"} ^ {path.name for path in (container / "results").iterdir()}
    return results


def scores(results: dict) -> dict[str, float]:
    return {test["name"]: test["score"] for test in results["tests"]}


def test_bundle_has_gradescopes_layout_and_no_solution(bundle):
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
        texts = {name: archive.read(name).decode() for name in names}
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    assert {"setup.sh", "run_autograder", "requirements.txt", "sandbox/worker.py", "hi_mnist/runs.py"} <= set(names)
    assert {name.split("/")[0] for name in names if "/" in name} == {"grading", "hi_mnist", "labs", "sandbox", "staff"}
    assert {name for name in names if name.startswith("staff/")} == {
        *("staff/__init__.py", "staff/archives.py", "staff/entries.py", "staff/tables.py"),
        *("staff/gradescope/__init__.py", "staff/gradescope/autograder.py"),
    }
    assert modes["setup.sh"] == modes["run_autograder"] == 0o755
    for script in build.TEMPLATES:
        assert texts[script].startswith("#!")
        subprocess.run(["bash", "-n", Path(build.__file__).parent / script], check=True)
    assert not any("\r" in text for text in texts.values())
    assert texts["submission.py"] == SKELETON
    assert json.loads(texts["settings.json"])["seed"] == 7
    assert "torch" not in texts["requirements.txt"]
    assert "numpy==" in texts["requirements.txt"]


def test_grading_imports_no_package_that_the_bundle_does_not_install(tmp_path):
    for name in handout.find(handout.GRADING_FILES) + [f"staff/{name}" for name in build.STAFF_FILES]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    code = (
        "import sys\nsys.modules['pandas'] = None  # scikit-learn looks for it, and it brings pyarrow\n"
        "import staff.gradescope.autograder, sandbox, labs.catalog, grading.checks\n"
        "from importlib.metadata import packages_distributions\n"
        "owners = packages_distributions()\n"
        "print(*{owner for name in sys.modules for owner in owners.get(name, [])})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    imported = set(done.stdout.lower().split())
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").lower().splitlines()
    asked_for = {re.split("[>=;]", line)[0] for line in lines if not line.startswith("#")}
    assert "numpy" in imported & asked_for
    assert not imported & asked_for - set(map(str.lower, build.PACKAGES))


def test_same_seed_makes_the_same_bytes_and_no_seed_a_fresh_key(bundle, tmp_path):
    keys = set()
    for name, options in (("again.zip", ["--seed", "7"]), ("a.zip", []), ("b.zip", [])):
        build.main([str(tmp_path / name), *options])
        with zipfile.ZipFile(tmp_path / name) as archive:
            keys.add(json.loads(archive.read("settings.json"))["key"])
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    assert len(keys) == 3 and all(re.fullmatch("[0-9a-f]{64}", key) for key in keys)


def test_builder_refuses_in_one_line(tmp_path):
    (tmp_path / "there.zip").touch()
    for arguments, cause in (
        (["there.zip"], "exists"),
        (["bundle.tar"], "zip"),
        (["new.zip", "--seed", "-1"], "seed"),
        (["new.zip", "--visibility", "never"], "visibility"),
    ):
        with pytest.raises(LabError, match=cause):
            build.main([str(tmp_path / arguments[0]), *arguments[1:]])
    assert not (tmp_path / "new.zip").exists()


def test_solution_gets_all_points(container):
    (container / "submission" / "submission.py").write_text(SOLVED, encoding="utf-8")
    results = run(container)
    assert scores(results) == CODE_POINTS
    assert "score" not in results
    assert {test["status"] for test in results["tests"]} == {"passed"}
    assert {test["visibility"] for test in results["tests"]} == {"visible"}


def test_hostile_code_loses_its_question_and_reaches_neither_results_nor_seed(container):
    source, target = container / "source", container / "results" / "results.json"
    folder = container / "submission" / "lab"
    folder.mkdir()
    code = f"""
import json, os
for path in {[str(path) for path in (target, source / "failed.json", source / "grading/checks.py")]}:
    try:
        open(path, 'w').write(json.dumps({{'score': 99}}))
    except OSError:
        pass
try:
    seen = open({str(source / "settings.json")!r}).read()
except OSError:
    seen = 'nothing'
raise ValueError('\\x1b[2J\\u202eread ' + seen)
"""
    (folder / "submission.py").write_text(handins._fill(SKELETON, handins.REGIONS["e_step"], code), encoding="utf-8")
    results = run(container)
    assert scores(results) == dict.fromkeys(CODE_POINTS, 0)
    assert not {"\x1b", "\u202e"} & set(results["tests"][0]["output"])
    for test in results["tests"][1:]:
        assert "not attempted" in test["output"]
        assert "Traceback" not in test["output"]
    if others_may_run_python() or shutil.which("bwrap"):
        assert "read nothing" in results["tests"][0]["output"]
        assert json.loads((source / "failed.json").read_text(encoding="utf-8"))["score"] == 0
        assert "99" not in (source / "grading" / "checks.py").read_text(encoding="utf-8")[:20]


@pytest.mark.slow
def test_bundle_of_a_companion_lab_grades_it(tmp_path):
    lab = catalog.load("deep_autoencoder")
    build.main([str(tmp_path / "lab.zip"), "--lab", lab.name])
    for container in laid_out(tmp_path / "lab.zip"):
        assert "torch" in (container / "source/requirements.txt").read_text()
        assert "NotImplementedError" in (container / "source/labs/deep_autoencoder/submission.py").read_text("utf-8")
        (container / "submission" / "submission.py").write_bytes(lab.source.read_bytes())
        assert scores(run(container)) == {asked.label: asked.points for asked in lab.questions.values()}


def test_student_is_told_what_to_hand_in(container):
    for empty in (True, False):
        if not empty:
            (container / "submission" / "submission.py").symlink_to(container / "source" / "settings.json")
        results = run(container)
        assert [(test["score"], test["max_score"]) for test in results["tests"]] == [(0, 35)]
        assert "submission.py" in results["tests"][0]["output"]
        assert "our fault" not in json.dumps(results)


def test_our_own_fault_is_called_so_and_gives_nothing(container):
    (container / "submission" / "submission.py").write_text(SOLVED, encoding="utf-8")
    source = container / "source"
    for broken, content in {
        "settings.json": "{",
        "grading/__init__.py": "import os\nos.kill(os.getpid(), 9)\n",  # as where the memory is too small
        "hi_mnist/cli.py": None,
        "../environment": None,
    }.items():
        aside = (source / broken).rename(source / "aside")
        if content is not None:
            (source / broken).write_text(content, encoding="utf-8")
        (container / "results" / "results.json").write_text('{"score": 100}', encoding="utf-8")
        results = run(container)
        assert (results["score"], results["tests"]) == (0, []), broken
        assert "our fault" in results["output"] and "rerun" in results["output"], broken
        (source / broken).unlink(missing_ok=True)
        aside.rename(source / broken)


def question(**changes) -> dict:
    entry = {"id": "e_step", "label": "1.1 E-step", "points": 10, "score": 10.0, "verdict": "PASS"}
    return entry | {"message": "gamma is right", "hint": ""} | changes


def passed_on(*questions: dict) -> dict:
    return autograder.results({"questions": list(questions), "notes": [], "guards": []}, "hidden")


def test_a_question_is_passed_on_cleaned_and_cut():
    for changes, score, status, said in (
        ({"score": 5.0, "verdict": "WRONG", "hint": "divide"}, 5, "failed", "WRONG: gamma is right\nhint: divide"),
        ({"message": "a\x1b[31m\x00\u202eb\n" + "x" * 9999}, 10, "passed", "PASS: ab\nx"),
        ({"verdict": "INTERNAL"}, 0, "failed", "our fault"),
    ):
        results = passed_on(question(**changes), question())
        test = results["tests"][0]
        assert (test["score"], test["max_score"], test["status"], test["visibility"]) == (score, 10, status, "hidden")
        assert said in test["output"] and len(test["output"]) < 5000
        assert ("Not graded: 1.1 E-step" in results["output"]) == (said == "our fault")


def test_a_rerun_of_the_same_file_has_the_same_numbers_and_another_file_others(monkeypatch):
    asked = []
    monkeypatch.setattr(checks, "check_code", lambda source, *, seed, **_: asked.append(seed) or [])
    for source in (b"a", b"a", b"b"):
        autograder.grade(source, {"lab": "main", "key": "k"})
    assert asked[0] == asked[1] and not set(asked[1].values()) & set(asked[2].values())


def test_points_that_cannot_be_are_refused():
    for changes in ({"score": 11}, {"score": -1}, {"score": float("nan")}, {"points": float("inf")}):
        with pytest.raises(ValueError, match="points"):
            passed_on(question(**changes))
