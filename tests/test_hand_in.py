"""grade.py --hand_in: class grading reads what it makes, and it makes nothing that is not whole."""

import json
import shutil
import zipfile

import pytest

import grade
from hi_mnist import cli, networks
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
    (run / "grade.json").write_text(json.dumps({"sample_index": 3}), encoding="utf-8")
    for name in [*(name for names in hand_in.MADE_BY.values() for name in names), "report.pdf", "explore.html", "x.md"]:
        if not (run / name).exists():
            (run / name).write_bytes(b"%PDF-1.7 " + name.encode())
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


def test_whatever_is_missing_or_wrong_is_one_line_and_no_zip(finished, run_script, tmp_path):
    (tmp_path / "word.pdf").write_bytes(b"PK")
    config = (finished / "config.yaml").read_bytes()
    for name, content, arguments, cause in (
        ("true_tsne.png", None, WHO, "true_tsne.png: python visualization.py"),
        ("ddpm_sample.png", None, WHO, "ddpm_sample.png: python grade.py --sample_index k"),
        ("report.pdf", None, WHO, "report.pdf: print report_print.html"),
        ("grade.json", b"{}", WHO, "an answer to question 6"),
        ("config.yaml", config.replace(b"use_pca: true", b"use_pca: false"), WHO, "not a PCA run"),
        *(("x.md", b"", (*WHO, "--report", tmp_path / file), file) for file in ("none.pdf", "word.pdf")),
        *(
            ("x.md", b"", ("--student_id", bad, *WHO[2:]), "student_id")
            for bad in ("Ann", "PB 1", "a_1", "1+2", "../1")
        ),
        *(("x.md", b"", (*WHO[:3], bad), "name must") for bad in ("a+b", "a/b", "12", "x" * 61, "a＋b")),
    ):
        kept = (finished / name).read_bytes()
        (finished / name).unlink() if content is None else (finished / name).write_bytes(content)
        outcome = run_script(grade, "--hand_in", *arguments)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1) and cause in outcome.err, outcome
        assert zips(finished) == []
        (finished / name).write_bytes(kept)
    other = shutil.copytree(finished, tmp_path / "other")
    (other / "true_pca.png").unlink()
    line = run_script(grade, "--hand_in", *WHO, "--results_path", other).err
    assert f"true_pca.png: python visualization.py {cli.quoted('--results_path', other)}" in line


def test_a_zip_that_cannot_be_finished_leaves_the_old_one(finished, run_script, monkeypatch):
    assert run_script(grade, "--hand_in", *WHO).status == 0
    (path,) = finished.parent.glob("*.zip")
    before, write = path.read_bytes(), zipfile.ZipFile.writestr

    def full(self, name, content):
        if name.endswith("trace.csv"):
            raise OSError(28, "No space left on device")
        write(self, name, content)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    assert run_script(grade, "--hand_in", *WHO).status == 2
    assert zips(finished) == [path.name] and path.read_bytes() == before
