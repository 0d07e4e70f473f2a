"""The labs by name: one grader for all of them, and one folder is all that a new one needs."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys

import pytest
from small_class import UNSANDBOXED, table, zipped

from grading.__main__ import main
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from labs import catalog
from labs.image_clustering import __main__ as clustering
from staff import grade_one

FILE = re.compile(r"## `(labs/average/\w+\.py)`.*?```python\n(.*?)```", re.S)


def test_the_lab_of_the_guide_is_handed_out_and_graded(tmp_path):
    copy, handed_out, out = tmp_path / "lab", tmp_path / "handout", tmp_path / "grades"
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".*", "tests", "benchmarks", "results", "*_encoded", "cache")
    )
    for name in (".gitignore", "results/README.md", "tests/test_submission.py"):
        (copy / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    files = dict(FILE.findall((ROOT / "docs/new_lab.md").read_text(encoding="utf-8")))
    assert len(files) == 3
    for name, text in files.items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(text, encoding="utf-8")

    def run(*command) -> str:
        done = subprocess.run([sys.executable, "-m", *map(str, command)], cwd=copy, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("staff.handout", handed_out)
    (tmp_path / "hand_ins").mkdir()
    solved, empty = ((root / "labs/average/submission.py").read_bytes() for root in (copy, handed_out))
    for i, code in enumerate((solved, empty, solved.replace(b"axis=0", b"axis=1"))):
        zipped(tmp_path / f"hand_ins/PB{i}+Ann+average.zip", {"submission.py": code})
    run("staff.grade_class", tmp_path / "hand_ins", "--out", out, "--lab", "average", "--jobs", "1", *UNSANDBOXED)
    rows = table(out / "gradebook.csv")
    assert [(row["means"], row["auto_score"], row["status"]) for row in rows] == [
        ("10", "10", "OK"), ("0", "0", "OK"), ("0", "0", "OK"),
    ]  # fmt: skip
    told = [(out / f"feedback/PB{i}+Ann+average/feedback.html").read_text(encoding="utf-8") for i in range(3)]
    assert "not attempted" in told[1] and "return the mean of each column" in told[1]
    assert "one mean for each column" in told[2] and "<title>Average: " in told[2]


def test_every_lab_is_graded_by_one_command(tmp_path):
    assert catalog.names() == ["main", "deep_autoencoder", "fashion_tutorial", "image_clustering"]
    for name, question in (("main", "pca_fit"), ("image_clustering", "consensus")):
        lab = catalog.load(name)
        assert main([str(lab.source), "--lab", name, "--only", question, "--json", str(tmp_path / "out.json")]) == 0
        result = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
        points = lab.questions[question].points
        assert [(q["id"], q["verdict"]) for q in result["questions"]] == [(question, "PASS")], name
        assert (result["auto_score"], result["auto_points"]) == (points, points), name
    with pytest.raises(LabError, match="pca_fit.*e_step|consensus"):
        main([str(lab.source), "--lab", "image_clustering", "--only", "pca_fit"])


def test_check_names_the_whole_path_of_a_faulty_file(tmp_path, monkeypatch, capsys):
    lab = catalog.load("image_clustering")
    faulty = tmp_path / "submission.py"
    faulty.write_bytes(b"import numpy as np\ndef flip(:\n")
    monkeypatch.setattr(catalog, "load", lambda name: dataclasses.replace(lab, source=faulty))
    assert clustering.main(["--check"]) == 0
    out = capsys.readouterr().out
    assert out.count(f"{faulty}, line 2: syntax error") == len(lab.questions), out


def test_numbers_differ_by_student_unless_the_class_has_one_variant():
    lab = catalog.load("main")
    for variant, count in (("id", 2), ("class", 1)):
        seeds = [grade_one.seeds("k", variant, whose, lab) for whose in ("PB1", "pb1", "PB2")]
        assert seeds[0] == seeds[1] and len({tuple(one.values()) for one in seeds}) == count, variant
        assert seeds[0] != grade_one.seeds("other", variant, "PB1", lab), variant
