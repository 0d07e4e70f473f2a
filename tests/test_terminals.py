"""Every terminal: no character that its encoding lacks ends a command, and the commands we print can be typed there."""

import functools
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_layers import MODULES

import grade
import grading.__main__
import submission
from grading import checks
from hi_mnist import cli, projections, scatter, training
from hi_mnist.files import ROOT
from report import compare, report_page
from staff import grade_class, merge, pretrain, rehearse
from staff.gradescope import autograder

ENCODINGS = ("cp1252", "gbk", "ascii")
SAID = "# 归一化 γ²"  # a student's comment: none of these encodings has all of it
MAIN = re.compile(r'^if __name__ == "__main__":.*\n    (.*)', re.MULTILINE)
NO_COMMAND = {"grading.child", "benchmarks.peers"}  # only ours start them, and they print numbers
COMMANDS = {  # module: arguments and exit status; HOME and RUN are folders, NEW is none yet
    "train": [("--use_pca --dataset digits --results_path NEW", 0), ("--dataset digits --results_path RUN", 2)],
    "visualization": [("--results_path RUN", 0), ("--compare --results_path RUN", 0), ("--results_path NEW", 2)],
    "grade": [("--results_path RUN", 0), ("--report_draft --results_path RUN", 0), ("--results_path NEW", 2)],
    "load_resources": [("--data_dir NEW", 2)],
    "grading.__main__": [("HOME/s.py --json NEW", 0), ("NEW", 2)],
    "labs.deep_autoencoder.__main__": [("--check", 0), ("--dataset digits --results_path RUN", 2)],
    "labs.fashion_tutorial.__main__": [("--check", 0), ("--results_path RUN", 2)],
    "labs.image_clustering.__main__": [("--check", 0), ("--images NEW", 2)],
    "staff.handout": [("NEW", 0), ("RUN", 2)],
    "staff.grade_class": [
        ("RUN --out NEW", 0),
        ("merge --out HOME --marks NEW", 0),
        ("repeat 张三 HOME --out HOME", 2),
    ],
    "staff.rehearse": [("NEW", 1), ("RUN", 2)],
    "staff.pretrain": [("ae --dataset digits --work_dir HOME --out NEW", 0)],
    "staff.gradescope.__main__": [("NEW.zip", 0)],
    "staff.gradescope.autograder": [("--check", 1)],
    "benchmarks.__main__": [("--only em --out NEW --before HOME", 2)],
    "benchmarks.results": [("NEW", 2)],
    "benchmarks.quality": [("ae --json NEW/x.json", 2)],
}


def checked(_, only=None, questions=None, **__) -> list[dict]:
    questions = questions or checks.QUESTIONS
    return [checks.question(name, asked.label, asked.points) | {"message": SAID} for name, asked in questions.items()]


@pytest.fixture
def home(standin, trained_run, tmp_path, monkeypatch) -> Path:
    """A home with spaces and Chinese in its name, where all that takes long is done at once and says ``SAID``."""
    home = tmp_path / "作业 γ²"
    shutil.copytree(standin, home / standin.name)
    shutil.copytree(trained_run, home / "run 1")
    (home / "s.py").write_text("x = 1\n")
    monkeypatch.setenv("LAB_HOME", str(home))
    gmm, pca = (
        submission.GMM.from_pretrained(trained_run / "gmm"),
        submission.PCA.from_pretrained(trained_run / "pca"),
    )
    gmm.log_likelihoods = [0.0]
    for module, name, result in (
        (training, "train", training.TrainResult(gmm, pca, 0.0, 0.0)),
        (projections, "make_planes", []),
        (scatter, "draw_run", [SAID]),
        (compare, "compare", home),
        (compare, "console", SAID),
        (report_page, "write", home),
        (grade_class, "grade_class", []),
        (merge, "merge", ([dict.fromkeys(("student_id", "name", "hand_in", "undecided"), SAID)], [SAID])),
        (rehearse, "play", ()),
        (rehearse, "surprises", [SAID]),
        (autograder, "grade_hand_in", {"tests": [{"output": SAID, "score": 1}], "output": SAID}),
        (pretrain, "train_ae", pretrain.AE()),
    ):
        monkeypatch.setattr(module, name, lambda *_, result=result, **__: result)
    monkeypatch.setattr(checks, "check_code", checked)
    return home


def test_no_command_ends_in_a_traceback_whatever_it_prints(home, monkeypatch):
    mains = {name: MAIN.findall(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
    assert {name for name, main in mains.items() if main} == COMMANDS.keys() | NO_COMMAND
    for name, calls in COMMANDS.items():
        assert mains[name][0] in ("sys.exit(cli.run_script(main))", "sys.exit(run_script(main))"), name
        module = importlib.import_module(name)
        for encoding in ENCODINGS:
            shown = [text.encode(encoding, "backslashreplace").decode(encoding) for text in (home.name, SAID, "张三")]
            for number, (arguments, status) in enumerate(calls):
                words = arguments.split()
                for place, path in (
                    ("HOME", home),
                    ("RUN", home / "run 1"),
                    ("NEW", home / f"{name}-{encoding}{number}"),
                ):
                    words = [word.replace(place, str(path)) for word in words]
                streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
                with monkeypatch.context() as patch:
                    patch.setattr(sys, "stdout", streams[0])
                    patch.setattr(sys, "stderr", streams[1])
                    ended = cli.run_script(functools.partial(module.main, words))
                said = "".join(s.flush() or s.buffer.getvalue().decode(encoding) for s in streams)
                assert ended == status and any(text in said for text in shown), (name, encoding, arguments, said)


def test_a_process_of_its_own_prints_students_lines_under_any_encoding_and_backend(tmp_path):
    path = tmp_path / "归一化 γ²" / "s.py"
    path.parent.mkdir()
    path.write_text(f"class GMM:\n    def __init__(self, *_):\n        1 / 0  {SAID}\n", encoding="utf-8")
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "MPLBACKEND": "bogus"}
    options = {"cwd": ROOT, "env": environment, "capture_output": True, "encoding": "cp1252"}
    pictures = "from hi_mnist import cli; cli.run_script(lambda: __import__('matplotlib.figure') and print('γ'))"
    for *command, said in (
        ("-m", "grading", path, "--only", "e_step", "1 / 0  # \\u5f52\\u4e00\\u5316 \\u03b3²"),
        ("-c", pictures, "\\u03b3"),
    ):
        done = subprocess.run([sys.executable, *command], **options)
        assert done.returncode == 0 and said in done.stdout, done


def test_results_are_written_before_they_are_printed(home, monkeypatch):
    """The reader of our output may have gone."""

    class Closing(io.StringIO):
        def write(self, text):
            if SAID in text:
                raise BrokenPipeError

    for path, module, *words in (
        (home / "run 1" / "grade.json", grade, "--results_path", home / "run 1"),
        (home / "table.json", grading.__main__, home / "s.py", "--json", home / "table.json"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", Closing())
            assert cli.run_script(functools.partial(module.main, [*map(str, words)])) == 1
        assert SAID in path.read_text(encoding="utf-8")


def test_a_printed_command_has_the_quotes_of_its_terminal(monkeypatch):
    words = ["--out", "plain/way", "my out", "R&D", "作业 (1)", "100%"]
    assert shlex.split(cli.quoted(*words)) == words
    monkeypatch.setattr(sys, "platform", "win32")
    assert cli.quoted(*words) == '--out plain/way "my out" "R&D" "作业 (1)" "100%"'
    assert cli.quoted(r"C:\Users\me\lab3") == r"C:\Users\me\lab3"
    held = PermissionError(13, "Permission denied", "marks.csv")
    assert "spreadsheet" in cli.explain(held) and "marks.csv" in cli.explain(held)
    monkeypatch.undo()
    assert "spreadsheet" not in cli.explain(held)
