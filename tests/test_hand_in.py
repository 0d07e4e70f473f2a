"""grade.py --hand_in: class grading reads what it makes, and it makes nothing that is not whole."""

import json
import os
import zipfile

import pytest

import grade
from hi_mnist import networks
from hi_mnist.files import ROOT
from report import hand_in
from staff import archives

WHO = ("--student_id", "PB23000001", "--name", "张三")


@pytest.fixture
def finished(run_folder, monkeypatch):
    """A run with everything that is handed in, and things that are not, as the newest of a home of its own."""
    home = run_folder.parent / "home"
    (home / "results").mkdir(parents=True)
    monkeypatch.setenv("LAB_HOME", str(home))
    run = run_folder.rename(home / "results" / "my run")
    for name in [*(name for names in hand_in.MADE_BY.values() for name in names), "report.pdf", "explore.html", "x.md"]:
        (run / name).write_bytes(b"%PDF-1.7 " + name.encode())
    (run / "grade.json").write_text(json.dumps({"sample_index": 3}), encoding="utf-8")
    return run


def zips(run) -> list:
    return sorted(path.name for path in run.parent.iterdir() if path != run)


@pytest.mark.parametrize("torch", [True, False])
def test_class_grading_reads_the_zip_without_a_doubt(finished, run_script, files_below, monkeypatch, torch):
    if not torch:
        monkeypatch.setattr(networks, "has_torch", lambda: False)
        for name in hand_in.NEED_TORCH:
            (finished / name).unlink()
    before = files_below(finished)
    for _ in range(2):  # the second replaces the first
        outcome = run_script(grade, "--hand_in", *WHO)
        assert outcome.status == 0 and f"run: {finished} (PCA" in outcome.out
    assert zips(finished) == ["PB23000001+张三+LAB3.zip"] and files_below(finished) == before
    found = archives.find(finished.parent)[0][0]
    handin = archives.read(found)
    assert (handin.refused, handin.review, handin.notes) == ("", [], [])
    assert (handin.student_id, handin.name, handin.run) == ("PB23000001", "张三", "results/my_run")
    assert handin.source == (ROOT / "submission.py").read_bytes()
    assert handin.files == {name: before[name] for name in archives.RUN_FILES}


def test_whatever_is_missing_or_wrong_is_one_line_and_no_zip(finished, run_script, files_below, tmp_path):
    (tmp_path / "word.pdf").write_bytes(b"PK")
    for change, arguments, cause in (
        ("true_tsne.png", WHO, "true_tsne.png: python visualization.py"),
        ("ddpm_sample.png", WHO, "ddpm_sample.png: python grade.py --sample_index k"),
        ("report.pdf", WHO, "report.pdf: print report_print.html"),
        ("", (*WHO, "--report", tmp_path / "none.pdf"), "none.pdf: print"),
        ("", (*WHO, "--report", tmp_path / "word.pdf"), "is not a PDF"),
        ("unanswered", WHO, "an answer to question 6"),
        *(("", ("--student_id", bad, "--name", "Ann"), "student_id") for bad in ("Ann", "PB 1", "a_1", "1+2", "../1")),
        *(("", ("--student_id", "PB1", "--name", bad), "name must") for bad in ("a+b", "a/b", "12", "x" * 61, "a＋b")),
        ("ae", WHO, "not a PCA run"),
    ):
        kept = files_below(finished)
        if change == "unanswered":
            (finished / "grade.json").write_text("{}", encoding="utf-8")
        elif change == "ae":
            text = (finished / "config.yaml").read_text().replace("use_pca: true", "use_pca: false")
            (finished / "config.yaml").write_text(text)
        elif change:
            (finished / change).unlink()
        outcome = run_script(grade, "--hand_in", *arguments)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1) and cause in outcome.err, outcome
        assert zips(finished) == []
        for name, content in kept.items():
            (finished / name).write_bytes(content)


def test_a_zip_that_cannot_be_finished_leaves_the_old_one_and_what_is_out_of_date_is_said(
    finished, run_script, monkeypatch
):
    assert run_script(grade, "--hand_in", *WHO).status == 0
    (path,) = finished.parent.glob("*.zip")
    before = path.read_bytes()
    write = zipfile.ZipFile.writestr

    def full(self, name, content):
        if name.endswith("trace.csv"):
            raise OSError(28, "No space left on device")
        write(self, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "writestr", full)
        assert run_script(grade, "--hand_in", *WHO).status == 2
    assert zips(finished) == [path.name] and path.read_bytes() == before
    os.utime(finished / "grade.json", (1, 1))
    assert "submission.py has changed since grade.json" in run_script(grade, "--hand_in", *WHO).out
