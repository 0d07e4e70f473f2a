"""The pages of a class: what staff and students read there is right, whole and harmless."""

import base64
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from PIL import Image
from small_class import add, play, said, table, zipped
from test_report_page import HOSTILE, read

import sandbox
from staff import archives, gradebook, merge, pages, statistics, thumbnails
from staff.grade_one import pictures

pytest_plugins = ["small_class"]
PLANE = (1442, 1008)  # pixels, as version 0.1 drew them
KEPT = []  # a class that is graded once


def png(size: tuple[int, int] = PLANE, kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def graded(handin, settings) -> dict:
    """A made record: from PB5 on the M-step is wrong, PB7 writes what would harm, PB8 has a low index by chance."""
    record, number = play(handin, settings), int(handin.student_id[2:])
    by_id, harm = {q["id"]: q for q in record["questions"]}, f"submission.py, line 9: {HOSTILE}\n{HOSTILE}"
    if number > 4:
        told = f"covs has shape ({number}, 2)\ninput: x = 0\ngot: {number}\nwant: 2\nmeans are wrong"
        by_id["m_step"] |= {"score": 2.0, "verdict": "WRONG", "message": told, "hint": HOSTILE}
    if number == 7:
        by_id["pca_fit"] |= {"score": 0.0, "verdict": "ERROR", "message": harm}
        record["files"] = {f"{name}.webp": png((90, 63), "WEBP") for name in archives.PICTURES.values()}
        for q in record["questions"]:  # more than most have to say
            q["message"] += "\ninput: x = 0, 1, 4" + 2 * f"\ngot: {list(range(30))}"
    db, accuracy = (2.6, 0.3) if number == 8 else (3.0 + number / 10, 0.6 + number / 100)
    by_id["performance"]["score"] = round(min(30 * 2.7 / db, 30), 4)
    record |= {"db": db, "db_sklearn": 2.7, "accuracy": accuracy, "nmi": 0.5, "run": HOSTILE[:60], "notes": [HOSTILE]}
    record["seconds"] = dict.fromkeys(list(by_id)[:4], number / 100)
    record["files"]["submission.py"] = f"x = {number}\ny = 1  # </pre>{HOSTILE}\n".encode()
    return record | ({"fingerprint": {"m_step": [*range(40)]}} if number in (1, 2) else {})


@pytest.fixture
def out(handins, grade, tmp_path, tmp_path_factory) -> Path:
    """A class of nine, graded."""
    if not KEPT:
        for i in range(9):
            add(handins, f"PB{i}", name="林一" if i % 2 else "O'Hara & Co")
        grade(grader=graded)
        KEPT.append(shutil.copytree(tmp_path / "out", tmp_path_factory.mktemp("class") / "out"))
    return Path(shutil.copytree(KEPT[0], tmp_path / "out", dirs_exist_ok=True))


def page(out: Path, number: int) -> Path:
    return next((out / "feedback").glob(f"PB{number}+*")) / "feedback.html"


def test_the_class_in_numbers(out):
    found = statistics.Class(out)
    part = found.parts["m_step"]
    assert found.most == 70 and part["counts"] == (5, 4, 0, 0) and part["quartiles"] == [2, 10, 10]
    together = np.corrcoef([10] * 5 + [2] * 4, [row["auto_score"] for row in found.scored])[0, 1]
    assert part["correlation"] == pytest.approx(together)
    assert found.parts["e_step"]["correlation"] is None  # all have the same
    causes = [(cause, [row["student_id"] for row in rows]) for cause, rows in part["causes"]]
    whose = ["PB5", "PB6", "PB7", "PB8"]
    assert causes == [("WRONG: covs has shape (N, 2)", whose), ("WRONG: means are wrong", whose)]
    median, longest, row = part["seconds"]
    assert (median, longest, row["student_id"]) == (0.04, 0.08, "PB8")
    assert [run["row"]["student_id"] for run in found.runs if run["odd"]] == ["PB8"]


def test_the_summary_answers_what_went_wrong_and_why(out):
    tags, text = read(out / "summary.html"), said(out / "summary.html")
    assert "9 hand-ins: 9 OK" in text and "1.2 M-step 10 / 10 2 to 10 56 %" in text
    assert "4 WRONG: means are wrong PB5, PB6, PB7, PB8" in text and "Good index, bad clusters" in text
    assert all((out / a["href"]).is_file() for a in tags.named("a"))
    assert len(tags.named("img")) == 2 and len(tags.named("pre")) == 2  # both plots, and a pair side by side
    assert "not proof" in text and "PB1, PB2" in text and "40 of 40" in text
    assert len(tags.named("mark")) == 2  # the line that both have, on both sides


def test_a_student_reads_causes_and_where_the_class_stands_but_no_names(out):
    for row in statistics.Class(out).rows:
        path = page(out, int(row["student_id"][2:]))
        text, source = said(path), path.read_text(encoding="utf-8")
        assert f"{gradebook.given(row['auto_score'])} of 70 points" in text and "the middle half has" in text
        assert not any(f"PB{i}" in source for i in range(9) if f"PB{i}" != row["student_id"])
    text = said(page(out, 7))
    assert "1.2 M-step WRONG 2 to 10 2 / 10 covs has shape (7, 2)" in text and "got: 7 want: 2" in text
    assert len(read(page(out, 7)).named("img")) == 8 and "There are no pictures" in said(page(out, 0))


def test_no_page_runs_or_loads_anything(out):
    for path in (out / "summary.html", page(out, 7), page(out, 0)):
        tags, text = read(path), path.read_text(encoding="utf-8")
        assert not {"script", "link", "iframe"} & {tag for tag, _ in tags.tags}
        assert not any(name.startswith("on") for _, attributes in tags.tags for name in attributes), path
        assert all(i["src"].startswith("data:image/") and i["alt"] for i in tags.named("img"))
        assert not re.search(r"https?://|url\(|@import|\u202e|\x1b", text)
        (policy,) = [m["content"] for m in tags.named("meta") if m.get("http-equiv")]
        assert policy.startswith("default-src 'none'") and "script" not in policy


def test_of_a_small_class_nothing_is_told_and_files_stay_with_their_record(handins, grade, tmp_path):
    path, out = add(handins, "PB7"), tmp_path / "out"
    for i in range(3):
        add(handins, f"PB{i}")
    grade(grader=graded)
    for told in (out / "summary.html", page(out, 7)):
        assert "middle half has" not in said(told) and "data:image/svg" not in told.read_text(encoding="utf-8")
    folder = gradebook.kept_files(out, path.stem)
    grade("--resume", grader=None)
    assert len(list(folder.iterdir())) == 9 and len(read(page(out, 7)).named("img")) == 8
    assert "files" not in json.loads((out / "records" / f"{path.stem}.json").read_text(encoding="utf-8"))
    add(handins, "PB7", "changed")
    grade("--resume", grader=lambda *a: graded(*a) | {"files": {"submission.py": b"1"}})
    assert [file.name for file in folder.iterdir()] == ["submission.py"] and not read(page(out, 7)).named("img")


def test_pages_of_a_merged_class_have_the_final_points(out, tmp_path, files_below):
    head = "student_id,log,tuning,results,questions,feedback,pca_fit,comment"
    lines = [f"PB{i},2,5,2,{'' if i == 3 else 20},1,{'6.5' if i == 7 else ''},<b>Good" for i in range(9)]
    (tmp_path / "marks.csv").write_text("\n".join([head, *lines]), encoding="utf-8")
    merge.merge(out, tmp_path / "marks.csv")
    files = files_below(out)
    merge.merge(out, tmp_path / "marks.csv")  # once more
    assert files_below(out) | {"audit.csv": b""} == files | {"audit.csv": b""}
    text = said(page(out, 7))
    assert "of 100 points" in text and "<b>Good" in text and "report: questions 20 20 / 20" in text
    assert "2.1 PCA.fit by hand 8 6.5 / 8" in text and "open of 100 points so far" in said(page(out, 3))
    assert "report: tuning" in said(out / "summary.html") and "tuning: At least two settings" in text
    rows = table(out / "mail_merge.csv")
    assert rows[3]["total"] == "" and float(rows[0]["total"]) == float(rows[0]["points"]) + 30
    assert all((out / row["feedback"]).is_file() for row in rows)


def test_late_and_absent_students_and_classes_of_before(out):
    path = out / gradebook.GRADEBOOK
    kept = json.loads(path.read_text(encoding="utf-8"))
    (first, second, *_), nobody = kept["rows"], dict.fromkeys(kept["rows"][0])
    first |= {"late": "1 d 4 h", "penalty": 7.0}
    second |= {"late": "unknown"}
    nobody |= {"student_id": "PC1", "hand_in": "", "late": "", "status": "ABSENT", "email": "gone@example.org"}
    path.write_text(json.dumps(kept | {"rows": [*kept["rows"], nobody]}), encoding="utf-8")
    pages.write(out)
    text = said(out / "summary.html")
    assert "9 hand-ins: 9 OK, 1 ABSENT. 1 late. For 1, nobody knows" in text and "PB0 1 d 4 h, -7 points" in text
    assert "7 points are deducted" in said(page(out, 0))
    absent = table(out / "mail_merge.csv")[-1]
    assert (absent["email"], absent["status"], absent["feedback"]) == ("gone@example.org", "ABSENT", "")
    shutil.rmtree(gradebook.kept_files(out, first["hand_in"]))
    for record in (out / "records").glob("*.json"):  # as version 0.2 wrote them
        old = json.loads(record.read_text(encoding="utf-8"))
        record.write_text(json.dumps({k: v for k, v in old.items() if k != "seconds"}), encoding="utf-8")
    path.write_text(json.dumps({"missing": 0, "rows": kept["rows"]}), encoding="utf-8")
    pages.write(out)
    assert "9 hand-ins" in said(out / "summary.html")


def test_a_companion_lab_has_its_pages(handins, grade, tmp_path):
    for i in range(6):
        zipped(handins / f"PB{i}+Ann+image_clustering.zip", {"submission.py": "right"})
    grade("--lab", "image_clustering")
    text = said(page(tmp_path / "out", 1))
    assert "Image clustering" in text and "The run" not in text and "Where the class stands" in text
    assert "Performance" not in said(tmp_path / "out" / "summary.html")


def test_pictures_are_made_small_in_the_sandbox_or_left_out(tmp_path):
    run = {"results/1/config.yaml": b"use_pca: true", "results/1/gmm/gmm.safetensors": b"1", "submission.py": b"1 +"}
    odd = {"true_tsne": png((100, 900)), "true_ae": png((5000, 9), mode="L"), "cluster_pca": png((9, 9), "JPEG")}
    odd |= {"cluster_tsne": png()[:9000], "cluster_ae": b"\0" * (archives.LARGEST_PICTURE + 1)}
    found = odd | {"true_pca": png(), "gmm_sample": png((28, 28), mode="L"), "other": png((9, 9))}
    path = zipped(tmp_path / "PB1+Ann+LAB3.zip", run | {f"results/1/{name}.png": c for name, c in found.items()})
    handin = archives.read(archives.Found(path, path.stem, "PB1", "Ann"))
    assert handin.pictures.keys() == found.keys() - {"other", "cluster_ae"}
    with sandbox.Box(handin.source) as box:  # whose code is not run
        made = pictures(handin, box)
    sizes = {name: Image.open(io.BytesIO(content)).size for name, content in made.items()}
    assert sizes.keys() == {"true_pca.webp", "true_tsne.webp", "gmm_sample.webp"}
    assert sizes["gmm_sample.webp"] == (28, 28) and sizes["true_tsne.webp"] == (80, thumbnails.SIDE)
    assert sizes["true_pca.webp"][0] < 0.75 * thumbnails.SIDE  # without its legend
    digest = handin.digest()
    handin.pictures["true_pca"] += b"\0"
    assert handin.digest() != digest  # so that --resume looks again


def test_chromium_shows_and_prints_the_pages(out, browser: Browser, tmp_path):
    (tmp_path / "marks.csv").write_text("student_id,log,tuning,results,questions,feedback\nPB7,2,5,2,20,1\n")
    merge.merge(out, tmp_path / "marks.csv")  # with the rubric's items, they are longest
    for path, most in ((out / "summary.html", 4), (page(out, 7), 2)):
        for width in (1280, 400):
            browser.expect_whole(path, width, True, "return document.readyState === 'complete'")
            assert browser.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
            assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
            assert browser.broken() == []
        printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
        assert 1 <= len(re.findall(rb"/Type /Page\b", base64.b64decode(printed["data"]))) <= most
