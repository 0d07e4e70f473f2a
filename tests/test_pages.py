"""The pages of a class: what staff and students read of it is right, whole and harmless, with scripts and without."""

import base64
import html
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from PIL import Image
from small_class import add, play, table, zipped
from test_report_page import HOSTILE, read

import sandbox
from hi_mnist.scatter import SIZE
from staff import archives, gradebook, merge, pages, statistics, thumbnails
from staff.grade_one import pictures

pytest_plugins = ["small_class"]
PLANE = tuple(round(140 * side) for side in SIZE)  # pixels


def png(size: tuple[int, int] = PLANE, kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def graded(handin, index, settings) -> dict:
    """The record of a made hand-in: the more its number, the fewer its points, the last ones with odd clusters."""
    record, number = play(handin, index, settings), int(handin.student_id[2:])
    by_id = {q["id"]: q for q in record["questions"]}
    if number > 4:
        told = f"covs has shape ({number}, 2)\ninput: x = 0\ngot: {number}\nwant: 2\nmeans are wrong"
        by_id["m_step"] |= {"score": 2.0, "verdict": "WRONG", "message": told, "hint": HOSTILE}
    if number == 7:
        by_id["pca_fit"] |= {
            "score": 0.0,
            "verdict": "ERROR",
            "message": f"submission.py, line 9: {HOSTILE}\n{HOSTILE}",
        }
    if settings.lab == "main":
        db, accuracy = (2.6, 0.3) if number == 8 else (3.0 + number / 10, 0.6 + number / 100)
        by_id["performance"]["score"] = round(30 * 2.7 / db, 4)
        figures = {"db": db, "db_sklearn": 2.7, "accuracy": accuracy, "nmi": 0.5, "ari": 0.4, "log_likelihood": -70.0}
        record |= figures | {"run": f"results/{HOSTILE}"[:60]}
    record["seconds"] = dict.fromkeys(list(by_id)[:4], number / 100)
    record["notes"] = [HOSTILE]
    planes = {f"{name}.webp": png((90, 63), "WEBP") for name in archives.PICTURES.values()} if number == 7 else {}
    record["files"] = planes | {"submission.py": f"x = {number}\ny = 1  # </pre>{HOSTILE}\n".encode()}
    if number in (1, 2):
        record["fingerprint"] = {"m_step": [*range(40)]}
    return record


@pytest.fixture
def out(handins, grade, tmp_path) -> Path:
    """A class of nine, graded."""
    for i in range(9):
        add(handins, f"PB{i}", name="林一" if i % 2 else "O'Hara & Co")
    grade(grader=graded)
    return tmp_path / "out"


def said(path: Path) -> str:
    """The text of a page on one line."""
    body = path.read_text(encoding="utf-8").partition("<body>")[2]
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", body)).split()).replace(" ,", ",")


def page(out: Path, number: int) -> Path:
    return next((out / "feedback").glob(f"PB{number}+*")) / "feedback.html"


# --------------------------------------------------------------------------- what they say


def test_the_class_in_numbers(out):
    found = statistics.Class(out)
    assert found.most == 70 and len(found.totals()) == 9
    part = found.parts["m_step"]
    assert part["counts"] == (5, 4, 0, 0) and part["quartiles"] == [2, 10, 10]
    points = [10] * 5 + [2] * 4
    assert part["correlation"] == pytest.approx(np.corrcoef(points, [row["auto_score"] for row in found.scored])[0, 1])
    assert found.parts["e_step"]["correlation"] is None  # all have the same
    assert [(cause, [row["student_id"] for row in rows]) for cause, rows in part["causes"]] == [
        ("WRONG: covs has shape (N, N)", ["PB5", "PB6", "PB7", "PB8"]),
        ("WRONG: means are wrong", ["PB5", "PB6", "PB7", "PB8"]),
    ]
    median, longest, row = part["seconds"]
    assert (median, longest, row["student_id"]) == (0.04, 0.08, "PB8")
    assert [run["row"]["student_id"] for run in found.runs if run["odd"]] == ["PB8"]


def test_the_summary_answers_what_went_wrong_and_why(out):
    tags, text = read(out / "summary.html"), said(out / "summary.html")
    assert "9 students: 9 OK" in text and "1.2 M-step 10 / 10 2 to 10 56 %" in text
    assert "4 WRONG: means are wrong PB5, PB6, PB7, PB8" in text and "Good index, bad clusters" in text
    assert {a["href"] for a in tags.named("a")} >= {
        f"feedback/{page(out, i).parent.name}/feedback.html" for i in (5, 8)
    }
    assert all((out / a["href"]).is_file() for a in tags.named("a"))
    assert len(tags.named("img")) == 2 and len(tags.named("pre")) == 2  # both plots, and a pair side by side
    assert "PB1, PB2" in text and "40 of 40" in text
    marked = [tag for tag, _ in tags.tags].count("mark")
    assert marked == 2  # the line that both have, on both sides


def test_a_student_reads_causes_and_the_class_but_no_names(out):
    for number in (0, 7):
        tags, text = read(page(out, number)), said(page(out, number))
        (total,) = [row["auto_score"] for row in statistics.Class(out).rows if row["student_id"] == f"PB{number}"]
        assert f"{pages.short(total)} of 70 points" in text and "the middle half has" in text
        others = [f"PB{i}" for i in range(9) if i != number]
        assert not any(other in page(out, number).read_text(encoding="utf-8") for other in others)
        assert len(tags.named("img")) == (8 if number else 0)
    assert "covs has shape (7, 2)" in text and "got: 7 want: 2" in text and "2 / 10" in text
    assert "no picture true_tsne.png" in said(page(out, 0))


def test_no_page_runs_or_loads_anything(out):
    for path in (out / "summary.html", page(out, 7), page(out, 0)):
        tags, text = read(path), path.read_text(encoding="utf-8")
        assert not {"script", "link", "iframe"} & {tag for tag, _ in tags.tags}
        assert not any(name.startswith("on") for _, attributes in tags.tags for name in attributes), path
        assert all(i["src"].startswith("data:image/") and i["alt"] for i in tags.named("img"))
        assert not re.search(r"https?://(?!www.w3.org)|url\(|@import", text)
        (policy,) = [m["content"] for m in tags.named("meta") if m.get("http-equiv")]
        assert policy.startswith("default-src 'none'") and "script" not in policy
        assert "\u202e" not in text and "\x1b" not in text


def test_of_a_small_class_nothing_is_told(handins, grade, tmp_path):
    for i in range(statistics.SMALLEST - 1):
        add(handins, f"PB{i}")
    grade(grader=graded)
    out = tmp_path / "out"
    for path in (out / "summary.html", page(out, 1)):
        assert "middle half has" not in said(path) and "data:image/svg" not in path.read_text(encoding="utf-8")
    assert "Fewer than 5 hand-ins" in said(out / "summary.html")


def test_pages_of_a_merged_class_have_the_final_points(out, tmp_path):
    report = {f"PB{i}": "2,5,2,20,1" for i in range(9)} | {"PB3": "2,5,2,,1"}
    lines = [f"{who},{points},{'6.5' if who == 'PB7' else ''},<b>Good" for who, points in report.items()]
    head = "student_id,log,tuning,results,questions,feedback,pca_fit,comment"
    (tmp_path / "marks.csv").write_text("\n".join([head, *lines]), encoding="utf-8")
    pages.write(out, merge.merge(out, tmp_path / "marks.csv")[0])
    text = said(page(out, 7))
    assert "of 100 points" in text and "<b>Good" in text and "report: questions 20 20 / 20" in text
    assert "2.1 PCA.fit by hand 8 6.5 / 8" in text
    assert "open of 100 points so far" in said(page(out, 3))
    assert "report: tuning" in said(out / "summary.html")
    rows = {row["student_id"]: row for row in table(out / "mail_merge.csv")}
    assert rows["PB3"]["total"] == "" and float(rows["PB0"]["total"]) == float(rows["PB0"]["points"]) + 30
    assert all((out / row["feedback"]).is_file() for row in rows.values())


def test_late_absent_and_older_classes(out):
    path = out / gradebook.GRADEBOOK
    kept = json.loads(path.read_text(encoding="utf-8"))
    for row in kept["rows"]:
        row |= {"late": "no", "penalty": 0, "email": f"{row['student_id']}@example.org", "section": "A"}
    kept["rows"][0] |= {"late": "1 d 4 h", "penalty": 7.0}
    kept["rows"][1]["late"] = "unknown"
    nobody = dict.fromkeys(kept["rows"][0], None) | {"student_id": "PC1", "name": "Gone", "hand_in": "", "look": False}
    kept["rows"].append(nobody | {"status": "ABSENT", "note": "", "late": "", "email": "gone@example.org"})
    path.write_text(json.dumps(kept), encoding="utf-8")
    pages.write(out)
    text = said(out / "summary.html")
    assert "10 students: 9 OK, 1 ABSENT. 1 late. For 1, nobody knows" in text and "PB0 1 d 4 h -7 points" in text
    assert "7 points are deducted" in said(page(out, 0))
    rows = table(out / "mail_merge.csv")
    assert (rows[-1]["email"], rows[-1]["status"], rows[-1]["feedback"]) == ("gone@example.org", "ABSENT", "")
    for record in (out / "records").glob("*.json"):  # as version 0.2 wrote them
        old = json.loads(record.read_text(encoding="utf-8"))
        record.write_text(json.dumps({k: v for k, v in old.items() if k != "seconds"}), encoding="utf-8")
    path.write_text(json.dumps({"missing": 0, "rows": kept["rows"][:9]}), encoding="utf-8")
    pages.write(out)
    assert "9 students" in said(out / "summary.html")


def test_a_companion_lab_has_its_pages(handins, grade, tmp_path):
    for i in range(6):
        zipped(handins / f"PB{i}+Ann+image_clustering.zip", {"submission.py": "right"})
    grade("--lab", "image_clustering", grader=lambda *a: play(*a) | {"seconds": {}})
    text = said(page(tmp_path / "out", 1))
    assert "Image clustering" in text and "The run" not in text and "Where the class stands" in text
    assert "Performance" not in said(tmp_path / "out" / "summary.html")


# --------------------------------------------------------------------------- their pictures


def test_pictures_are_made_small_in_the_sandbox_or_left_out(tmp_path):
    run = {"results/1/config.yaml": b"use_pca: true", "results/1/gmm/gmm.safetensors": b"1", "submission.py": b"1 +"}
    odd = {"true_tsne": png((100, 400)), "true_ae": png((5000, 9), mode="L"), "cluster_pca": png((9, 9), "JPEG")}
    odd |= {"cluster_tsne": png()[:9000], "cluster_ae": b"\0" * (archives.LARGEST_PICTURE + 1)}
    found = odd | {"true_pca": png(), "gmm_sample": png((28, 28), mode="L"), "other": png((9, 9))}
    path = zipped(tmp_path / "PB1+Ann+LAB3.zip", run | {f"results/1/{name}.png": c for name, c in found.items()})
    handin = archives.read(archives.Found(path, path.stem, "PB1", "Ann"))
    assert handin.pictures.keys() == found.keys() - {"other", "cluster_ae"}
    with sandbox.Box(handin.source) as box:  # whose code is not run
        made = pictures(handin, box)
    sizes = {name: Image.open(io.BytesIO(content)).size for name, content in made.items()}
    assert sizes.keys() == {"true_pca.webp", "true_tsne.webp", "gmm_sample.webp"}
    assert sizes["gmm_sample.webp"] == (28, 28) and max(sizes["true_tsne.webp"]) <= thumbnails.SIDE
    assert sizes["true_pca.webp"][0] < 0.75 * thumbnails.SIDE  # without its legend
    digest = handin.digest()
    handin.pictures["true_pca"] += b"\0"
    assert handin.digest() != digest  # so that --resume looks again
    assert [one.pictures for one in archives.HandIn("x", pictures={"a": b""}, others={"2": {}}).runs()] == [
        {"a": b""},
        {},
    ]


def test_files_stay_beside_the_record_through_resume_and_go_with_a_new_one(handins, grade, tmp_path):
    path, out = add(handins, "PB7"), tmp_path / "out"
    grade(grader=graded)
    folder = gradebook.kept_files(out, path.stem)
    kept = {file.name for file in folder.iterdir()}
    assert len(kept) == 9 and len(read(page(out, 7)).named("img")) == 8
    grade("--resume", grader=None)
    assert {file.name for file in folder.iterdir()} == kept and len(read(page(out, 7)).named("img")) == 8
    assert "files" not in json.loads((out / "records" / f"{path.stem}.json").read_text(encoding="utf-8"))
    add(handins, "PB7", "changed")
    grade("--resume", grader=lambda *a: graded(*a) | {"files": {"submission.py": b"1"}})
    assert [file.name for file in folder.iterdir()] == ["submission.py"]
    assert not read(page(out, 7)).named("img")


# --------------------------------------------------------------------------- in a browser


def test_chromium_shows_and_prints_the_pages(out, browser: Browser):
    for path, most in ((out / "summary.html", 4), (page(out, 7), 2)):
        for width in (1280, 400):
            browser.expect_whole(path, width, True, "return document.readyState === 'complete'")
            assert browser.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
            assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
        assert 1 <= len(re.findall(rb"/Type /Page\b", base64.b64decode(printed["data"]))) <= most
