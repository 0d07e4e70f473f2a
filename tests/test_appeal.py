"""The class's key, on which each student's numbers depend, and a question of theirs asked again."""

import json
import os

import pytest
from small_class import RIGHT, add, add_copies, play

from grading import checks
from hi_mnist.cli import LabError
from hi_mnist.files import read_json
from sandbox import bubblewrap
from staff import grade_class, grade_one, similar

pytest_plugins = ["small_class"]


def test_another_key_data_set_or_class_is_refused(handins, grade, tmp_path, files_below, monkeypatch):
    add(handins, "PB1")
    grade("--seed", "2026")
    before, key = (tmp_path / "out" / "gradebook.csv").read_bytes(), tmp_path / "out" / "key"
    made = key.read_text()
    monkeypatch.setattr(grade_class.prepare, "ensure", lambda *_: None)  # there is no MNIST here
    for options, content, cause in (
        (("--seed", "0"), made, "another key"),
        (("--dataset", "mnist"), made, "another dataset (digits"),
        ((), f"{'0' * 64}\n", "another key"),
        ((), "2026", "64 hexadecimal digits"),
        ((), "", "64 hexadecimal digits"),
        ((), None, "another key"),
    ):
        key.unlink() if content is None else key.write_text(content)
        with pytest.raises(LabError) as caught:
            grade("--resume", *options)
        assert cause in str(caught.value), cause
    assert (tmp_path / "out" / "gradebook.csv").read_bytes() == before
    grade("--resume", "--seed", "2026")
    assert key.read_text() == made
    before = files_below(tmp_path / "out")
    (handins / "PB1+Ann+LAB3.zip").rename(handins / "PB2+Ann+image_clustering.zip")
    with pytest.raises(LabError, match=r"another lab \(main"):
        grade("--resume", "--lab", "image_clustering")
    assert files_below(tmp_path / "out") == before


def test_the_key_is_made_once_for_its_owner_and_told_to_nobody(handins, grade, tmp_path, files_below):
    log, out = tmp_path / "log", tmp_path / "out"
    add(handins, "PB1", f"log {log}")
    grade()
    key = (out / "key").read_text()
    assert os.name == "nt" or (out / "key").stat().st_mode & 0o777 == 0o600
    assert all(key.strip().encode() not in content for name, content in files_below(out).items() if name != "key")
    grade("--resume")
    assert len(log.read_text().split()) == 1
    record = next((out / "records").iterdir())
    record.write_text(json.dumps(read_json(record) | {"settings": {"seed": 2026, "dataset": "digits"}}))  # of 0.2
    grade("--resume")
    assert len(log.read_text().split()) == 2
    record.unlink()
    grade()  # once more into the same folder
    assert (out / "key").read_text() == key
    grade(out="other")
    assert (tmp_path / "other" / "key").read_text() != key


def test_a_question_is_repeated_with_the_numbers_of_the_class(handins, grade, tmp_path, monkeypatch, run_script):
    """Also where the roster has another form of the id (PB02)."""
    asked = []

    def check_code(source, *, seed, only=None, **_):
        asked.append((source, seed))
        return grade_one.entries({name: checks.QUESTIONS[name] for name in only or checks.QUESTIONS}, "PASS", "")

    def graded(handin, settings):
        grade_one.grade_code(handin, settings, {"notes": []}, None)
        return play(handin, settings) | {"files": {"submission.py": handin.source}}

    add_copies(handins, new=2_000_000, old=1_000_000)
    add(handins, "PB2")
    monkeypatch.setattr(similar, "hashes", lambda box: {})
    monkeypatch.setattr(checks, "check_code", check_code)
    (tmp_path / "roster.csv").write_text("student_id\nPB1\nPB02\n")
    grade("--roster", tmp_path / "roster.csv", grader=graded)
    seeds, out = dict(asked), tmp_path / "out"
    monkeypatch.setenv(bubblewrap.OFF, "0")
    done = run_script(grade_class, "repeat", "PB02", "--out", out)
    assert (done.status, done.err.count("\n"), len(asked)) == (2, 1, 2) and "--unsandboxed" in done.err
    (tmp_path / "their.py").write_bytes(RIGHT)
    for student, code, source in (
        ("pb1", (), b"wrong 0"),
        ("PB1+Ann+LAB3_new", (), b"wrong 0"),
        ("PB02", (tmp_path / "their.py",), RIGHT),
    ):
        asked.clear()
        done = run_script(grade_class, "repeat", student, *code, "--out", out, "--only", "e_step", "--unsandboxed")
        assert (done.status, asked) == (0, [(source, seeds[source])]), done.err
        assert "1.1 E-step" in done.out and "1.2 M-step" not in done.out
    for arguments, cause in ((("PB9",), "'PB9'"), (("PB1", tmp_path / "nothing.py"), "no file")):
        done = run_script(grade_class, "repeat", *arguments, "--out", out, "--unsandboxed")
        assert (done.status, done.err.count("\n")) == (2, 1) and cause in done.err, arguments
