"""The rehearsal: the invented students are as described, and the course ends as planned."""

import importlib
import subprocess
import sys

import pytest

from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from staff import grade_one, gradebook, handout, rehearse


def test_each_student_changes_regions_of_the_solution_and_nothing_else():
    skeleton, solved = handout.student_copy("submission.py")[0].decode(), rehearse.solve({})
    for student in rehearse.CLASS[:-1]:
        text = rehearse.solve(student.work)
        assert (text == solved) == (not student.work), student.name
        # Emptied again, it is the skeleton: no region is too long, and nothing outside the regions changed.
        assert handout.strip_solution(text, "submission.py")[0] == skeleton, student.name
    with pytest.raises(LabError, match="9.9"):
        rehearse.solve({"9.9 nothing": "pass"})


def test_one_student_plays_the_whole_course(tmp_path, capsys, monkeypatch):
    """Their own commands run as such; the staff's run in this process, which has the libraries loaded."""
    whole = rehearse.run

    def run(command, folder, home=None):
        if command[0] != "-m":
            return whole(command, folder, home)
        print(" ".join(command))
        monkeypatch.setenv("LAB_HOME", str(home or folder))
        grade_one.facts.cache_clear()
        return importlib.import_module(command[1]).main(
            [*command[2:], *(["--jobs", "1"] if "--roster" in command else [])]
        )

    monkeypatch.setattr(rehearse, "run", run)
    (ben,) = rehearse.QUICK
    assert rehearse.main([str(tmp_path / "course"), "--quick"]) == 0
    graded, final = (rehearse.rows_of(tmp_path / "course/grades" / name) for name in ("gradebook.csv", "final.csv"))
    assert (graded[0]["sample_index"], final[0]["sample_index"]) == ("", ben.decided["sample_index"])
    assert float(final[0]["total"]) == float(final[0]["auto_score"]) + sum(ben.report)
    shown = capsys.readouterr().out
    assert "staff.grade_class merge" in shown and "export" in shown
    assert "Traceback" not in shown and "not as planned" not in shown


def test_surprises_are_told():
    row = {"student_id": "2100000001", "name": "Ada Example", "status": "OK", "note": "", "undecided": "status"}
    row |= dict.fromkeys(gradebook.questions("main"), "10") | {"late": "1 d 0 h"}
    told = rehearse.surprises([row], [row], rehearse.CLASS[:1])
    causes = ("pca_fit 10, not 8; sample_from_gmm 10, not 7; late 1 d 0 h, not no", "no row", "undecided")
    assert [cause in line for cause, line in zip(causes, told, strict=True)] == [True] * 3


@pytest.mark.slow
def test_the_command_plays_the_course_as_planned(tmp_path):
    command = [sys.executable, "-m", "staff.rehearse", str(tmp_path / "course")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not as planned" not in done.stdout
    for student in rehearse.CLASS:
        assert student.name in (tmp_path / "course" / "grades" / "final.csv").read_text(encoding="utf-8-sig")
