"""One hand-in graded again, and the log of what people changed."""

import csv
import re
from functools import partial

import pytest
from small_class import UNSANDBOXED, add, play, table, zipped

from hi_mnist.cli import LabError
from staff import archives, grade_class, merge, regrade

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


def audit(out) -> list[dict]:
    return [row for row in table(out / "audit.csv") if re.fullmatch(r"[\d-]{10} [\d:]{8}[+-]\d\d:\d\d", row["when"])]


def test_a_corrected_file_counts_from_then_on_and_touches_nobody_else(
    handins, grade, again, tmp_path, files_below, run_script
):
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
    for file, points in ((tmp_path / "their.py", 70), (tmp_path / "all.zip", 65), (tmp_path / "their.py", 70)):
        printed = again("pb1", "--file", file, reason=f"wrong file; staff: {points}")
        assert re.search(rf"sum +\d\d +{points}\n", printed) and f"wrong file; staff: {points}" in printed
        (row, *rest) = table(out / "gradebook.csv")
        assert row["auto_score"] == str(points) and "graded again on 20" in row["note"]
        assert [(other["student_id"], other["status"]) for other in rest] == [("PB2", "OK"), ("PB8", "ABSENT")]
        feedback = files_below(out / "feedback")
        assert [feedback[name] for name in others] == [before[name] for name in others]
        told = feedback["PB1+Ann+LAB3/feedback.md"].decode()
        assert "wrong file" in told and "staff" not in told
        assert ("No report" in (out / "summary.md").read_text()) is False
    handed_in = archives.read(regrade.applied(out, archives.find(handins)[0])[0][0])
    assert "use_pca" in handed_in.files["config.yaml"].decode() and not handed_in.review
    rows = grade("--resume", "--no-rerun")
    assert (rows["PB1"]["auto_score"], list(rows)) == ("70", ["PB1", "PB2", "", "PB9"])
    assert len(log.read_text().split()) == 2  # the regrades
    assert "PB1+Ann+LAB3 is graded from regraded/PB1+Ann+LAB3/3-their.py" in (out / "summary.md").read_text()
    lines = [tuple(row.values())[2:] for row in audit(out) if row["what"] == "regrade"]
    assert lines[:2] == [
        ("regrade", "PB1", "e_step", "5", "10", "wrong file; staff: 70"),
        ("regrade", "PB1", "auto_score", "65", "70", "wrong file; staff: 70"),
    ]
    assert len(lines) == 6 and "@" in audit(out)[0]["who"]


def test_one_is_graded_as_its_class_was(handins, grade, again, tmp_path):
    """With the flags of the class, also where a folder that an earlier version graded does not name them."""
    asked = []

    def grader(handin, index, settings):
        asked.append((handin.hand_in, index, settings))
        return play(handin, index, settings)

    for student in ("PB1", "PB2"):
        add(handins, student, "unanswered")
    (tmp_path / "indices.csv").write_text("student_id,sample_index\nPB1,3\n")
    grade("--indices", tmp_path / "indices.csv", "--variant-by", "class", "--no-rerun", grader=grader)
    first = {name: rest for name, *rest in asked}
    again("PB1", grader=grader)
    (tmp_path / "out" / regrade.REGRADES).unlink()
    with pytest.raises(LabError, match="name it after the id"):
        again("PB1", grader=grader)
    again("PB1", handins, grader=grader)
    assert [list(rest) for name, *rest in asked[2:]] == 2 * [first["PB1+Ann+LAB3"]]


def test_what_cannot_be_regraded_is_one_line_and_changes_nothing(handins, grade, again, tmp_path, files_below):
    for student in ("PB1", "PB2"):
        add(handins, student)
    grade()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    before = files_below(tmp_path / "out")
    for arguments, cause in (
        (["PB7"], "'PB7' is not one"),
        (["PB1", "--file", tmp_path / "no.zip"], "neither an archive"),
        (["PB1", "--file", tmp_path / "notes.txt"], "neither an archive"),
        (["PB1", tmp_path / "nowhere"], "there is no folder"),
        (["PB1", tmp_path / "empty"], "there is no hand-in"),
    ):
        with pytest.raises(LabError, match=cause):
            again(*arguments)
    with pytest.raises(LabError, match="--reason is empty"):
        again("PB1", reason=" ")
    (handins / "PB2+Ann+LAB3.zip").unlink()
    with pytest.raises(LabError, match=r"lacks PB2\+Ann\+LAB3"):
        again("PB1")
    assert {k: v for k, v in files_below(tmp_path / "out").items() if k != "audit.csv"} == before
    assert not audit(tmp_path / "out")
    add(handins, "PB2")

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again("PB1", "--file", handins / "PB2+Ann+LAB3.zip", grader=interrupt)
    assert grade("--resume")["PB1"]["note"] == "" and len(audit(tmp_path / "out")) == 0
    again("PB1", "--file", handins / "PB2+Ann+LAB3.zip")
    next((tmp_path / "out/regraded").glob("*/2-*")).unlink()
    with pytest.raises(LabError, match="2-PB2.*is missing"):
        grade("--resume")


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
        new = [list(row.values())[2:] for row in audit(out)[seen:]]
        seen += len(new)
        for line, told in zip(new, expected, strict=True):
            *cells, reason = told.split(",", 5)
            assert line[:5] == cells and line[5].endswith(reason), told
    before = (out / "audit.csv").read_bytes()
    merge.merge(out, path)
    assert (out / "audit.csv").read_bytes().startswith(before)
    with (out / "audit.csv").open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.reader(file))) == seen + 2  # a head, and one line for a merge that changed nothing
