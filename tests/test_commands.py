"""Run every command in the README, the lab texts, the labs and the staff guide, in order.

Slow: many minutes. ``LEFT_OUT`` names the commands that cannot run here, with the reason.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import wait_until
from hub import NOWHERE

from hi_mnist.files import ROOT
from staff import handout, rehearse

LABS = sorted(path.parent.name for path in ROOT.glob("labs/*/submission.py"))
LEFT_OUT = {
    "-m pip install": "the environment is there already",
    "-m pytest": "this is it",
}
SMALLER = {"--max_epoch 10": "--max_epoch 1 --layers 784-40-20"}  # a run's length proves nothing about its command

pytestmark = pytest.mark.slow


def commands(name: str) -> list[str]:
    """The commands of a file's code blocks, comments cut off; those joined by && apart."""
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"^```\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in re.sub(r"\s{2,}#.*", "", line).split("&&")]
    return [part for part in parts if part.startswith("python ") and not any(word in part for word in LEFT_OUT)]


@pytest.fixture
def start(tmp_path):
    """Start a command in a folder as a person would, without data and without a network."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("MNIST_DIR", "LAB_HOME"))}
    environment |= {"HF_ENDPOINT": NOWHERE, "HTTPS_PROXY": NOWHERE, "HTTP_PROXY": NOWHERE, "PYTHONUTF8": "1"}

    def start(command: str, folder: Path, cluster: str = "3") -> subprocess.Popen:
        for long, short in SMALLER.items():
            command = command.replace(long, short)
        words = [cluster if word == "k" else word for word in shlex.split(command)[1:]]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
        return subprocess.Popen([sys.executable, *words], cwd=folder, env=environment, **pipes)

    return start


@pytest.fixture
def run(start):
    """Run a command to its end; its output."""

    def run(command: str, folder: Path) -> str:
        process = start(command, folder)
        output, errors = process.communicate()
        assert process.returncode == 0, f"{command}\n{output[-2000:]}\n{errors[-2000:]}"
        assert "Traceback" not in output + errors, command
        return output

    return run


@pytest.fixture
def solved(tmp_path):
    """A student's folder with all tasks filled in."""
    folder = tmp_path / "lab"
    handout.main([str(folder)])
    for name in ("submission.py", *(f"labs/{lab}/submission.py" for lab in LABS)):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize("name", ["README.md", "docs/lab.en.md"])  # the Chinese text has the same, see test_docs.py
def test_the_lab(name, solved, run):
    found = [command for command in commands(name) if " -m staff." not in command]
    assert len(found) >= 4
    for command in found:
        newest = max(solved.glob("results/20*"), default=None)
        if "--hand_in" in command:  # the one thing that a person makes
            (newest / "report.pdf").write_bytes(b"%PDF-1.7")
        run(command, solved)
    assert (newest / "grade.json").is_file()
    assert "hand_in" not in "".join(found) or len(list(solved.glob("results/*+LAB3.zip"))) == 1


@pytest.mark.parametrize("lab", LABS)
def test_a_companion_lab(lab, solved, run, start):
    found = commands(f"labs/{lab}/README.md")
    assert found
    shutil.copytree(ROOT / "pretrained" / "mnist-ae", solved / "FOLDER")  # with a picture
    for command in found:
        if command.endswith(" --resume"):
            kill_in_the_middle(start(found[0], solved), solved / "results")
        run(command, solved)


def kill_in_the_middle(training: subprocess.Popen, results: Path) -> None:
    """Kill a training once it has saved something: what --resume is there for."""
    finished = set(results.iterdir())

    def saved_something() -> bool:
        assert training.poll() is None, training.communicate()
        return any(any(path.glob("models/*")) for path in set(results.iterdir()) - finished)

    wait_until(saved_something, seconds=300)
    training.kill()
    training.communicate()


def test_the_staff_guide(tmp_path, run, monkeypatch):
    """In a copy of the project, beside the hand-ins that the rehearsal made."""
    copy = tmp_path / "project"
    ignored = shutil.ignore_patterns(".git", "20*_*", "cache", "mnist_encoded", "__pycache__", ".venv", "venv")
    shutil.copytree(ROOT, copy, ignore=ignored)
    found = commands("docs/staff.md")
    assert found[0] == "python -m staff.rehearse"
    found.remove("python -m staff.rehearse")  # the next is the same, into a folder that is kept
    assert found[0] == "python -m staff.rehearse rehearsal"
    for command in found:
        # The rehearsal's students worked on the stand-in, a class works on MNIST.
        run(command + " --dataset digits" * ("staff.grade_class hand_ins" in command), copy)
        if command == "python -m staff.rehearse rehearsal":
            shutil.copytree(copy / "rehearsal" / "hand_ins", copy / "hand_ins")
            for table in (copy / "rehearsal" / "staff").glob("*.csv"):
                shutil.copy(table, copy)
            shutil.copy(copy / "moodle.csv", copy / "worksheet.csv")
            shutil.copy(copy / "hand_ins" / "2100000001+Ada Example+LAB3.zip", copy / "corrected.zip")
            shutil.copytree(copy / "labs" / "deep_autoencoder", copy / "hand_ins_002" / "1000000001+A+deep_autoencoder")
    assert rehearse.CLASS[0].name in (copy / "grades" / "final.csv").read_text(encoding="utf-8-sig")
