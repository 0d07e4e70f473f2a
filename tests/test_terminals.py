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

import pytest
from test_layers import MODULES

import grade
import grading.__main__
import submission
from grading import checks, table
from hi_mnist import cli, projections, scatter, training
from hi_mnist.files import ROOT
from report import report_page
from staff import grade_class, merge, notebook

SAID = "# 归一化 γ²"  # a student's comment: none of the encodings below has all of it
MAIN = re.compile(r'^if __name__ == "__main__":.*\n    sys\.exit\((?:cli\.)?run_script\(main\)\)', re.MULTILINE)
COMMANDS = """
train 0 --use_pca --dataset digits --results_path NEW
visualization 0 --results_path RUN
grade 0 --results_path RUN
grade 0 --report_draft --results_path RUN
load_resources 2 --data_dir NEW
grading.__main__ 0 HOME/s.py --json NEW
labs.deep_autoencoder.__main__ 2 --dataset digits --results_path RUN
labs.fashion_tutorial.__main__ 0 --check
labs.image_clustering.__main__ 2 --images NEW
staff.handout 0 NEW
staff.notebook 0
staff.grade_class 0 RUN --out NEW
staff.grade_class 0 merge --out HOME --marks NEW
staff.grade_class 2 repeat 张三 --out HOME
staff.rehearse 2 RUN
staff.pretrain.__main__ 2 ae --data_dir NEW --work_dir HOME
staff.gradescope.__main__ 0 NEW.zip
staff.gradescope.autograder 2 HOME
benchmarks.__main__ 2 --only em --before HOME
benchmarks.gallery 2 --results_path NEW
"""


@pytest.fixture
def home(standin, trained_run, tmp_path, monkeypatch):
    """A home with Chinese and a space in its name, where all that takes long is done at once and says ``SAID``."""
    home = tmp_path / "作业 γ²"
    shutil.copytree(standin, home / standin.name)
    shutil.copytree(trained_run, home / "run 1")
    (home / "s.py").write_text("x = 1\n")
    monkeypatch.setenv("LAB_HOME", str(home))
    gmm, pca = submission.GMM.from_pretrained(trained_run / "gmm"), submission.PCA.from_pretrained(trained_run / "pca")
    gmm.log_likelihoods = [0.0]
    row = dict.fromkeys(("student_id", "name", "hand_in", "undecided"), SAID)
    monkeypatch.setattr(notebook, "NOTEBOOK", home / "lab.ipynb")
    for module, name, result in (
        (training, "train", training.TrainResult(gmm, pca, 0.5, 0.0, 0.0)),
        (projections, "make_planes", []),
        (scatter, "draw_run", [SAID]),
        (report_page, "write", home),
        (checks, "check_code", [checks.question("e_step", "E-step", 10) | {"message": SAID}]),
        (grade_class, "grade_class", []),
        (merge, "merge", ([row], [SAID])),
    ):
        monkeypatch.setattr(module, name, lambda *_, result=result, **__: result)
    return home


def test_no_command_ends_in_a_traceback_whatever_it_prints(home, monkeypatch):
    commands = [line.split() for line in COMMANDS.strip().splitlines()]
    mains = {name for name, path in MODULES.items() if MAIN.search(path.read_text(encoding="utf-8"))}
    assert mains == {name for name, *_ in commands}
    for encoding in ("cp1252", "gbk", "ascii"):
        shown = [text.encode(encoding, "backslashreplace").decode(encoding) for text in (home.name, SAID, "张三")]
        for number, (name, status, *words) in enumerate(commands):
            for place, path in (("HOME", home), ("RUN", home / "run 1"), ("NEW", home / f"{encoding} {number}")):
                words = [word.replace(place, str(path)) for word in words]
            stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", stream)
                patch.setattr(sys, "stderr", stream)
                ended = cli.run_script(functools.partial(importlib.import_module(name).main, words))
                stream.flush()
            said = stream.buffer.getvalue().decode(encoding)
            assert ended == int(status) and any(text in said for text in shown), (name, encoding, words, said)


def test_results_are_written_before_they_are_printed(run_folder, run_script, monkeypatch):
    monkeypatch.setattr(table, "table", lambda _: 1 / 0)  # whatever stops the printing
    for file, script, *words in (
        ("grade.json", grade, "--results_path", run_folder),
        ("t.json", grading.__main__, ROOT / "submission.py", "--json", run_folder / "t.json"),
    ):
        with pytest.raises(ZeroDivisionError):
            run_script(script, *words)
        assert "auto_score" in (run_folder / file).read_text(encoding="utf-8")


def test_a_process_of_its_own_prints_in_any_encoding_and_minds_no_backend():
    code = f"from hi_mnist import cli; cli.run_script(lambda: __import__('matplotlib.figure') and print({SAID!r}))"
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "MPLBACKEND": "bogus"}
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True)
    assert said.returncode == 0 and b"# \\u5f52\\u4e00\\u5316 \\u03b3\xb2" in said.stdout, said


def test_a_printed_command_has_the_quotes_of_its_terminal(monkeypatch):
    words = ["--out", "C:/way", "my out", "R&D", "作业 (1)", "100%"]
    assert shlex.split(cli.quoted(*words)) == words
    held = PermissionError(13, "Permission denied", "marks.csv")
    assert "spreadsheet" not in cli.explain(held)
    monkeypatch.setattr(sys, "platform", "win32")
    assert cli.quoted(*words) == '--out C:/way "my out" "R&D" "作业 (1)" "100%"'
    assert "spreadsheet" in cli.explain(held) and "marks.csv" in cli.explain(held)
