"""The rehearsal: its invented students are what they claim to be, and the course comes out as planned."""

import ast
import subprocess
import sys

import pytest

from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from staff import handout, rehearse


@pytest.fixture(scope="module")
def skeleton():
    return handout.strip_solution((ROOT / "submission.py").read_text(encoding="utf-8"), "submission.py")[0]


@pytest.mark.parametrize("student", rehearse.CLASS, ids=lambda student: student.name)
def test_each_student_fills_regions_and_nothing_else(student, skeleton):
    text = rehearse.solve(skeleton, student.work)
    raised = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Raise)]
    left = [node for node in raised if getattr(getattr(node.exc, "func", None), "id", "") == "NotImplementedError"]
    assert len(left) == len(handout.TASKS) - len(student.work)
    # Emptied again, it is the skeleton: no region is longer than a student's may be, nothing given was touched.
    again = "\n".join(line for line in text.splitlines() if "NotImplementedError" not in line) + "\n"
    assert handout.strip_solution(again, "submission.py")[0] == skeleton


def test_an_unknown_region_is_an_error(skeleton):
    with pytest.raises(LabError, match="9.9"):
        rehearse.solve(skeleton, {"9.9 nothing": "pass"})


def test_one_student_plays_the_whole_course(tmp_path, capsys):
    (ben,) = students = [student for student in rehearse.CLASS if student.name == "Ben Example"]
    gradebook, final = rehearse.play(tmp_path, students)
    assert rehearse.surprises(gradebook, final, students) == []
    assert gradebook[0]["sample_index"] == ""
    assert final[0]["sample_index"] == ben.decided["sample_index"]
    assert float(final[0]["total"]) == float(final[0]["auto_score"]) + sum(ben.report)
    shown = capsys.readouterr().out
    assert "staff.grade_class merge" in shown
    assert "Traceback" not in shown


def test_a_surprise_is_told():
    row = {"student_id": "2100000001", "name": "Ada Example", "status": "OK", "note": "", "undecided": "status"}
    row |= dict.fromkeys(rehearse.QUESTIONS, "10")
    told = rehearse.surprises([row], [row], rehearse.CLASS[:1])
    assert [cause in line for cause, line in zip(("instead of", "undecided"), told, strict=True)] == [True, True]


def test_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(LabError, match="not empty"):
        rehearse.main([str(tmp_path)])


@pytest.mark.slow
def test_the_command_plays_the_course_as_planned(tmp_path):
    command = [sys.executable, "-m", "staff.rehearse", str(tmp_path / "course")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not as planned" not in done.stdout
    for student in rehearse.CLASS:
        assert student.name in (tmp_path / "course" / "grades" / "final.csv").read_text(encoding="utf-8-sig")
