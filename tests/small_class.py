"""A class whose hand-ins say how they are graded; test modules load it with ``pytest_plugins``.

PYTEST_DONT_REWRITE: it asserts nothing.
"""

import csv
import os
import re
import zipfile
import zlib
from html import unescape
from pathlib import Path

import pytest
from conftest import wait_until

from sandbox import bubblewrap
from staff import archives, grade_class, grade_one, gradebook, merge

UNSANDBOXED = ["--unsandboxed"] * bool(bubblewrap.unavailable())
RIGHT = b"# a solution\n"


def zipped(path: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def add(folder: Path, student_id: str, code: bytes | str = RIGHT, name: str = "Ann") -> Path:
    """A hand-in whose code tells ``play`` how to grade it."""
    contents = {"submission.py": code, "report.pdf": b"%PDF", "results/1/config.yaml": b"use_pca: true"}
    return zipped(folder / f"{student_id}+{name}+LAB3.zip", contents)


def add_copies(folder: Path, **times: int) -> None:
    """Hand-ins of student PB1, named by a suffix, with their file times; the first has all points, the next 65."""
    for i, (suffix, at) in enumerate(times.items()):
        path = add(folder, "PB1", b"wrong %d" % i).rename(folder / f"PB1+Ann+LAB3_{suffix}.zip")
        os.utime(path, (at, at))


def play(handin: archives.HandIn, settings: grade_one.Settings) -> dict:
    """Replaces grading: does what the first word of submission.py says."""
    if handin.refused:
        return grade_one.grade_one(handin, settings)
    word, _, rest = handin.source.decode().partition(" ")
    path = Path(rest.strip())
    if word == "raise":
        raise ZeroDivisionError("as asked")
    if word == "interrupt":
        raise KeyboardInterrupt
    if word == "exit" or (word == "exit_once" and not path.exists()):
        if word == "exit_once":
            path.touch()
        wait_until(path.exists)  # "exit FILE" ends once the file is there
        os._exit(3)
    if word == "log":
        with path.open("a") as file:
            file.write(handin.hand_in + "\n")
    if word == "wait":  # with its process noted, until the folder has a file "go"
        (path / str(os.getpid())).touch()
        wait_until((path / "go").exists)
    record = grade_one.empty_record(handin, settings)
    record["questions"] = grade_one.entries(gradebook.questions(settings.lab), "PASS", "")
    for question in record["questions"]:
        question["score"] = float(question["points"])
    by_id = {q["id"]: q for q in record["questions"]}
    if word == "wrong":
        by_id["e_step"] |= {"score": 5.0, "verdict": "WRONG", "message": f"row {rest} is off"}
    if word == "empty":
        message = f"not attempted: submission.py, line 57: {rest}"
        by_id["e_step"] |= {"score": 0.0, "verdict": "ERROR", "message": message}
    if word == "near":
        by_id["performance"] |= {"score": float(rest), "message": "Davies-Bouldin"}
    if word == "review":
        by_id["performance"] |= {"score": 0.0, "verdict": "REVIEW", "message": "K = 9"}
    if word == "unanswered":
        by_id["sample_index"] |= {"score": 0.0, "verdict": "SKIPPED", "message": "no answer"}
    if word in ("same", "copy", "hidden"):
        record["signature"] = [[0.5, 1.0, 2.0], [0.5, 2.0, 3.0]]
        pieces = {"same": [zlib.crc32(rest.encode()) + i for i in range(9)], "copy": [*range(9)], "hidden": []}[word]
        record["fingerprint"] = {"e_step": pieces, "m_step": pieces}
    if word == "unwritable":
        record["config"] = {"ae": "\ud800"}
    return record


def table(path: Path) -> list[dict]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def said(path: Path) -> str:
    """The text of a page on one line."""
    body = path.read_text(encoding="utf-8").partition("<body>")[2]
    return " ".join(unescape(re.sub("<[^>]*>", " ", body)).split()).replace(" ,", ",")


def feedback(out: Path, student_id: str) -> str:
    """What the page of a student says."""
    (path,) = out.glob(f"feedback/{student_id}+*/feedback.html")
    return said(path)


@pytest.fixture
def handins(tmp_path) -> Path:
    folder = tmp_path / "handins"
    folder.mkdir()
    return folder


@pytest.fixture
def grade(handins, tmp_path, standin):
    """Grade the class: ``grade("--resume", grader=play) -> rows by student id``; the CSV is what is read."""

    def run(*options, out: str = "out", grader=play, jobs: int = 1) -> dict[str, dict]:
        arguments = [handins, "--out", tmp_path / out, "--dataset", "digits", "--jobs", jobs, *UNSANDBOXED, *options]
        grade_class.grade_class(grade_class.build_parser().parse_args([str(a) for a in arguments]), grader)
        return {row["hand_in"].partition("+")[0]: row for row in table(tmp_path / out / "gradebook.csv")}

    return run


@pytest.fixture
def final(grade, tmp_path):
    """Grade the class if it was not, merge these marks, and return final.csv by student id."""

    def run(marks: str, *options) -> dict[str, dict]:
        grade(*options, "--resume")
        (tmp_path / "marks.csv").write_text(marks, encoding="utf-8-sig")
        merge.merge(tmp_path / "out", tmp_path / "marks.csv")
        return {row["student_id"]: row for row in table(tmp_path / "out" / "final.csv")}

    return run
