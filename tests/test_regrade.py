"""One hand-in graded again, and the log of what people changed."""

import errno
import os
import re
import shutil
from functools import partial

import pytest
from small_class import UNSANDBOXED, add, play, said, table, zipped

from hi_mnist import files
from hi_mnist.cli import LabError
from staff import archives, audit, grade_class, merge, regrade

pytest_plugins = ["small_class"]
REPORT = "student_id,log,tuning,results,questions,feedback"


@pytest.fixture
def again(tmp_path, capfd):
    """Regrade one and return what is printed: ``again("PB1", "--file", path)``."""

    def run(*arguments, grader=play, reason: str = "typo") -> str:
        options = [*arguments, "--out", tmp_path / "out", "--reason", reason, *UNSANDBOXED]
        capfd.readouterr()
        grade = partial(grade_class.grade_class, grader=grader)
        assert regrade.main([str(option) for option in options], grade_class.build_parser(), grade) == 0
        return capfd.readouterr().out

    return run


def logged(out) -> list[dict]:
    lines = table(out / audit.AUDIT) if (out / audit.AUDIT).exists() else []
    return [row for row in lines if re.fullmatch(r"[\d-]{10} [\d:]{8}[+-]\d\d:\d\d", row["when"])]


def test_a_corrected_file_counts_from_then_on_and_touches_nobody_else(handins, grade, again, tmp_path, files_below):
    """Also under --resume, and where the file is a submission.py beside the run that was handed in."""
    log, out = tmp_path / "log", tmp_path / "out"
    for student in ("PB1", "PB2"):
        add(handins, student, f"wrong {student}")
    (tmp_path / "roster.csv").write_text("student_id,name\nPB1,Ann\nPB2,Ann\nPB8,Eve\n")
    grade("--no-rerun", "--roster", tmp_path / "roster.csv")
    (tmp_path / "marks.csv").write_text(f"{REPORT}\nPB1,2,5,2,20,1\nPB2,2,5,2,20,1\n")
    merge.merge(out, tmp_path / "marks.csv")
    others = [name for name in files_below(out / "feedback") if "PB2" in name]
    before = files_below(out / "feedback")
    add(handins, "PB9")  # not graded yet, and not by a regrade
    (tmp_path / "their.py").write_text(f"log {log}")
    zipped(tmp_path / "all.zip", {"submission.py": b"wrong 2", "report.pdf": b"%PDF"})
    for file, points, how in (
        (tmp_path / "their.py", 70, "; staff: "),
        (tmp_path / "all.zip", 65, ";Staff:"),
        (tmp_path / "their.py", 70, " \uff1bstaff\uff1a"),
    ):
        printed = again("pb1", "--file", file, reason=f"wrong file{how}{points}")
        assert re.search(rf"sum +\d\d +{points}\n", printed) and f"wrong file; staff: {points}" in printed
        (row, *rest) = table(out / "gradebook.csv")
        assert row["auto_score"] == str(points) and "graded again on 20" in row["note"]
        assert [(other["student_id"], other["status"]) for other in rest] == [("PB2", "OK"), ("PB8", "ABSENT")]
        feedback = files_below(out / "feedback")
        assert [feedback[name] for name in others] == [before[name] for name in others]
        told = feedback["PB1+Ann+LAB3/feedback.html"].decode()
        assert "wrong file" in told and "staff" not in told
        assert "no report" not in said(out / "summary.html")
    handed_in = archives.read(regrade.applied(out, archives.find(handins)[0], regrade.load(out))[0][0])
    assert "use_pca" in handed_in.files["config.yaml"].decode() and not handed_in.review
    rows = grade("--resume", "--no-rerun")
    assert (rows["PB1"]["auto_score"], list(rows)) == ("70", ["PB1", "PB2", "", "PB9"])
    assert len(log.read_text().split()) == 2  # the regrades
    assert "PB1+Ann+LAB3 is graded from regraded/PB1+Ann+LAB3/3/their.py" in said(out / "summary.html")
    lines = [tuple(row.values())[2:] for row in logged(out) if row["what"] == "regrade"]
    assert lines[:2] == [
        ("regrade", "PB1", "e_step", "5", "10", "wrong file; staff: 70"),
        ("regrade", "PB1", "auto_score", "65", "70", "wrong file; staff: 70"),
    ]
    assert len(lines) == 6 and "@" in logged(out)[0]["who"]


def test_one_is_graded_as_its_class_was(handins, grade, again, tmp_path):
    """With the flags of the class."""
    asked = []

    def grader(handin, settings):
        asked.append((handin.hand_in, settings))
        return play(handin, settings)

    add(handins, "PB1", "unanswered")
    grade("--variant-by", "class", "--no-rerun", grader=grader)
    again("PB1", grader=grader)
    (tmp_path / "out" / regrade.REGRADES).unlink()
    with pytest.raises(LabError, match="first use --resume"):
        again("PB1", grader=grader)
    assert asked == 2 * asked[:1] and (asked[0][1].variant, asked[0][1].rerun) == ("class", False)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes")
def test_what_cannot_be_regraded_is_one_line_and_changes_nothing(handins, grade, again, tmp_path, files_below):
    os.utime(add(handins, "PB1").rename(handins / "PB1+Ann+LAB3_old.zip"), (1, 1))
    for student in ("PB1", "PB2"):
        add(handins, student)
    out, roster = tmp_path / "out", tmp_path / "roster.csv"
    roster.write_text("student_id,name\nPB1,Ann\nPB2,Ann\nPB8,Eve\n")
    grade("--roster", roster)
    files = {name: tmp_path / name for name in ("notes.txt", "empty.py", "empty.zip", "report.zip", "empty", "pipe")}
    for name, path in files.items():
        path.touch() if "." in name else path.mkdir()
    zipped(files["report.zip"], {"report.pdf": b"%PDF"})
    (files["pipe"] / "submission.py").write_bytes(b"right")
    os.mkfifo(files["pipe"] / "pipe")
    before = files_below(out)
    for arguments, cause in (
        (["PB7"], "'PB7' is not one"),
        (["PB1+Ann+LAB3_old"], "not REPLACED"),
        (["PB8"], "PB8 handed nothing in"),
        ([" "], "' ' is not one"),
        (["PB1", "--file", tmp_path / "no.zip"], "No such file"),
        (["PB1", "--file", files["notes.txt"]], "an empty file"),
        (["PB1", "--file", files["empty.py"]], "no submission.py, or an empty one"),
        (["PB1", "--file", files["empty.zip"]], "an empty file"),
        (["PB1", "--file", files["report.zip"]], "no submission.py"),
        (["PB1", "--file", files["empty"]], "no submission.py"),
        (["PB1", "--file", files["pipe"]], "is a named pipe; take it out of"),
        (["PB1", "--file", out.parent], "holds --out"),
    ):
        with pytest.raises(LabError, match=cause):
            again(*arguments)
    with pytest.raises(LabError, match="--reason is empty"):
        again("PB1", reason=" ")
    (handins / "PB2+Ann+LAB3.zip").unlink()
    with pytest.raises(LabError, match=r"lacks PB2\+Ann\+LAB3"):
        again("PB1")
    add(handins, "PB2")

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again("PB1", "--file", handins / "PB2+Ann+LAB3.zip", grader=interrupt)
    assert {name: content for name, content in files_below(out).items() if "regraded/" not in name} == before
    again("PB1", "--file", handins / "PB2+Ann+LAB3.zip")
    shutil.rmtree(out / "regraded")
    with pytest.raises(LabError, match="PB2.*is missing"):
        grade("--resume")
    for content in ("{", "[]", "{}", '{"handins": null, "regraded": []}'):
        (out / regrade.REGRADES).write_text(content)
        with pytest.raises(LabError, match="regrades.json is damaged"):
            grade("--resume")


def test_a_full_disk_leaves_no_points_that_the_log_does_not_tell(handins, grade, again, tmp_path, monkeypatch):
    add(handins, "PB1", "wrong 1")
    (tmp_path / "their.py").write_text("right")
    grade()
    shutil.copytree(tmp_path / "out", tmp_path / "before")
    for name in ("their.py", "regrades.json", "gradebook.csv", "gradebook.json", "summary.html", "feedback.html"):

        def full(source, target, name=name, move=files.move):
            if target.name == name or (name == "their.py" and target.name == "1"):
                raise OSError(errno.ENOSPC, "No space left on device", str(target))
            move(source, target)

        shutil.rmtree(tmp_path / "out")
        shutil.copytree(tmp_path / "before", tmp_path / "out")
        with monkeypatch.context() as patch, pytest.raises((OSError, LabError), match="No space"):
            patch.setattr(files, "move", full)
            again("PB1", "--file", tmp_path / "their.py")
        counts = grade("--resume")["PB1"]["auto_score"] == "70"
        assert counts == (name not in ("their.py", "regrades.json")), name
        assert bool(logged(tmp_path / "out")) or not counts, name


def test_the_log_and_the_list_of_regrades_take_what_is_there(tmp_path):
    line = ("merge", "PB1", "log", 1, 2, "=x")
    audit.add(tmp_path, [line])
    path = tmp_path / audit.AUDIT
    path.write_bytes(path.read_bytes().rstrip())  # an editor left the last line end out
    audit.add(tmp_path, [line])
    assert [row["reason"] for row in logged(tmp_path)] == ["'=x", "'=x"]
    regrades = {"handins": os.fsdecode(b"/\xd5\xc5"), "regraded": {"PB1": {"file": None, "notes": ["\u4e2d"]}}}
    regrade.save(tmp_path, regrades)
    assert regrade.load(tmp_path) == regrades


def test_the_log_tells_each_decision_that_changed_something(handins, grade, tmp_path):
    for student, word in {"PB1": "review", "PB2": "wrong 1"}.items():
        add(handins, student, word)
    grade()
    out, path, seen = tmp_path / "out", tmp_path / "marks.csv", 0
    head = f"{REPORT},e_step,performance,status,marker"
    for marks, expected in {
        f"{head}\nPB1,2,,,,,,,,Eve\n": ["decision,PB1,log,,2,line 2 (Eve)", "merge,,,,,2 students, 2 undecided"],
        f"{head}\nPB1,2,,,,,,25,,Eve\nPB2,,,,,,7,,,\n": [
            "decision,PB1,performance,,25,line 2 (Eve)", "decision,PB2,e_step,5,7,line 3",
            "merge,,,,,2 students, 2 undecided",
        ],
        f"{head}\nPB1,1,,,,,,25,,Eve\n": [
            "decision,PB1,log,2,1,line 2 (Eve)", "merge,PB2,e_step,7,5,so as graded",
            "merge,,,,,2 students, 2 undecided",
        ],
    }.items():  # fmt: skip
        path.write_text(marks, encoding="utf-8")
        merge.merge(out, path)
        new = [list(row.values())[2:] for row in logged(out)[seen:]]
        seen += len(new)
        for line, told in zip(new, expected, strict=True):
            *cells, reason = told.split(",", 5)
            assert line[:5] == cells and line[5].endswith(reason), told
    before = (out / "audit.csv").read_bytes()
    merge.merge(out, path)
    assert (out / "audit.csv").read_bytes().startswith(before)
    assert len(logged(out)) == len(table(out / "audit.csv")) == seen + 1  # one line for a merge that changed nothing
