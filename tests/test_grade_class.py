"""A class: every hand-in gets its row, whatever happens to another one, to a worker or to the whole run."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import psutil
import pytest
from conftest import wait_until

from hi_mnist.cli import LabError
from hi_mnist.files import read_json
from staff import archives, grade_class, grade_one, gradebook, merge, pool, tables

ROOT = Path(__file__).resolve().parent.parent
RIGHT = b"# a solution\n"


def zipped(path: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def add(folder: Path, student_id: str, code: bytes = RIGHT, name: str = "Ann", **files: bytes) -> Path:
    """A hand-in whose code tells ``play`` what to make of it."""
    contents = {"submission.py": code, "report.pdf": b"%PDF", "results/1/config.yaml": b"use_pca: true"}
    return zipped(folder / f"{student_id}+{name}+LAB3.zip", contents | files)


def play(handin: archives.HandIn, index: int | None, settings: grade_one.Settings) -> dict:
    """Stands for grading: does what the first word of submission.py says."""
    word, _, rest = handin.source.decode().partition(" ")
    if word == "raise":
        raise ZeroDivisionError("as asked")
    if word == "exit":
        os._exit(3)
    if word == "exit_once" and not Path(rest.strip()).exists():
        Path(rest.strip()).touch()
        os._exit(3)
    if word == "log":
        with open(rest.strip(), "a") as file:
            file.write(handin.hand_in + "\n")
    if word == "pid":
        Path(rest.strip(), str(os.getpid())).touch()
        time.sleep(60)
    if word == "sleep":
        time.sleep(float(rest))
    record = grade_one.empty_record(handin, index, settings)
    record["questions"] = [
        grade_one.entry(name, "PASS", "", score=float(points)) for name, (_, points) in gradebook.QUESTIONS.items()
    ]
    if word == "wrong":
        record["questions"][0] |= {"score": 5.0, "verdict": "WRONG", "message": f"row {rest} is off"}
    if word == "empty":
        message = f"not attempted: submission.py, line 57: {rest}"
        record["questions"][0] |= {"score": 0.0, "verdict": "ERROR", "message": message}
    if word == "review":
        record["questions"][5] |= {"score": 0.0, "verdict": "REVIEW", "message": "K = 9"}
    if index is None and word == "unanswered":
        record["questions"][4] |= {"score": 0.0, "verdict": "SKIPPED", "message": "no answer"}
    if word in ("same", "copy"):
        record["signature"] = [[0.5, 1.0, 2.0], [0.5, 2.0, 3.0]]
        words = "alpha beta gamma delta epsilon zeta eta theta iota" if word == "copy" else f"{rest} " * 12
        record["fingerprint"] = {"e_step": words, "m_step": words, "pca_fit": "", "sample_from_gmm": ""}
    return record


@pytest.fixture
def handins(tmp_path) -> Path:
    folder = tmp_path / "handins"
    folder.mkdir()
    return folder


@pytest.fixture
def grade(handins, tmp_path, standin):
    """Grade the class: ``grade("--resume", grader=play) -> rows by student id``; the CSV is what is read."""

    def run(*options, out: str = "out", grader=play, jobs: int = 1) -> dict[str, dict]:
        arguments = [handins, "--out", tmp_path / out, "--dataset", "digits", "--jobs", jobs, *options]
        grade_class.grade_class(grade_class.build_parser().parse_args([str(a) for a in arguments]), grader)
        return {row["hand_in"].partition("+")[0]: row for row in table(tmp_path / out / "gradebook.csv")}

    return run


def table(path: Path) -> list[dict]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


# --------------------------------------------------------------------------- the gradebook


def test_gradebook_has_the_columns_and_a_row_for_each(handins, grade, tmp_path):
    add(handins, "PB2", b"wrong 3", "李四")
    add(handins, "PB1", name="张三")
    rows = grade()
    assert (tmp_path / "out" / "gradebook.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert list(rows) == ["PB1", "PB2"]
    assert list(rows["PB1"]) == [
        "hand_in", "student_id", "name", "e_step", "m_step", "pca_fit", "sample_from_gmm", "sample_index",
        "performance", "auto_score", "status", "note",
    ]  # fmt: skip
    assert list(rows["PB1"].values()) == [
        "PB1+张三+LAB3", "PB1", "张三", "10", "10", "8", "7", "5", "30", "70", "OK", "",
    ]  # fmt: skip
    assert (rows["PB2"]["e_step"], rows["PB2"]["auto_score"]) == ("5", "65")


def test_open_questions_have_empty_cells_and_a_cause(handins, grade):
    add(handins, "PB1", b"review")
    add(handins, "PB2", b"unanswered")
    rows = grade()
    assert (rows["PB1"]["performance"], rows["PB1"]["status"], rows["PB1"]["auto_score"]) == ("", "REVIEW", "40")
    assert "performance REVIEW: K = 9" in rows["PB1"]["note"]
    assert (rows["PB2"]["sample_index"], rows["PB2"]["status"]) == ("", "SKIPPED")


@pytest.mark.parametrize("text", ["\ud800", int("1" + 5_000 * "0", 16)], ids=["surrogate", "endless number"])
def test_a_record_that_cannot_be_written_is_one_rows_fault(handins, grade, text):
    def unwritable(handin, index, settings):
        return play(handin, index, settings) | ({"config": {"ae": text}} if handin.student_id == "PB1" else {})

    add(handins, "PB1")
    add(handins, "PB2")
    rows = grade(grader=unwritable)
    assert [rows[i]["status"] for i in ("PB1", "PB2")] == ["REVIEW", "OK"]
    assert "a fault of the grading program" in rows["PB1"]["note"]


def test_a_folder_with_anothers_id_is_told_in_both_rows(handins, grade):
    add(handins, "PB1")
    contents = {"PB1+Eve+LAB3/submission.py": b"right", "PB1+Eve+LAB3/results/1/config.yaml": b"use_pca: true"}
    zipped(handins / "whatever.zip", contents)
    rows = grade()
    assert {row["status"] for row in rows.values()} == {"REVIEW"}
    assert all("the id PB1 stands in more than one hand-in" in row["note"] for row in rows.values())


def test_archives_that_cannot_be_read_get_a_row(handins, grade):
    add(handins, "PB1")
    (handins / "PB2+b+LAB3.zip").write_bytes(b"PK no zip")
    rows = grade(grader=grade_one_of_refused)
    assert rows["PB2"]["status"] == "REVIEW"
    assert rows["PB2"]["note"].count("damaged") == 1
    assert rows["PB1"]["status"] == "OK"


def grade_one_of_refused(handin, index, settings):
    return grade_one.grade_one(handin, index, settings) if handin.refused else play(handin, index, settings)


def test_names_are_no_formulas(handins, grade, tmp_path):
    add(handins, "PB1", name="=1-cmd;x")
    assert grade()["PB1"]["name"] == "'=1-cmd;x"
    raw = (tmp_path / "out" / "gradebook.csv").read_text(encoding="utf-8-sig")
    assert '"\'=1-cmd;x"' in raw


def test_one_faults_row_leaves_all_others_identical(handins, grade, tmp_path):
    for i in range(4):
        add(handins, f"PB{i}", b"wrong %d" % i)
    before = grade(out="before")
    add(handins, "PB2", b"raise")
    after = grade(out="after")
    assert after["PB2"]["status"] == "REVIEW"
    assert "INTERNAL: a fault of the grading program: ZeroDivisionError: as asked" in after["PB2"]["note"]
    assert {i: before[i] for i in before if i != "PB2"} == {i: after[i] for i in after if i != "PB2"}


def test_a_fault_in_reading_is_one_row(handins, grade, monkeypatch):
    add(handins, "PB1")
    add(handins, "PB2")
    whole = archives.read
    monkeypatch.setattr(archives, "read", lambda found: 1 / 0 if found.student_id == "PB1" else whole(found))
    rows = grade()
    assert [rows[i]["status"] for i in ("PB1", "PB2")] == ["REVIEW", "OK"]


@pytest.mark.parametrize("jobs", [1, 3])
def test_order_and_number_of_jobs_do_not_show(handins, grade, tmp_path, files_below, jobs):
    for i in range(6):
        add(handins, f"PB{i}", b"sleep 0.%d" % (6 - i) if jobs > 1 else b"sleep 0.0%d" % i)
    grade(out="first")
    for path in handins.iterdir():  # what is written does not depend on the code's timing
        add(handins, path.name.partition("+")[0], b"sleep 0.0")
    grade(out="one")
    grade(out="many", jobs=jobs)
    one, many = files_below(tmp_path / "one"), files_below(tmp_path / "many")
    assert one == many
    assert len([name for name in one if name.startswith("feedback/")]) == 12


# --------------------------------------------------------------------------- several hand-ins of one id


def copies(handins: Path, **times: int) -> None:
    """Hand-ins of one student, named by a suffix, with their file times."""
    for i, (suffix, at) in enumerate(times.items()):
        path = add(handins, "PB1", b"wrong %d" % i).rename(handins / f"PB1+Ann+LAB3_{suffix}.zip")
        os.utime(path, (at, at))


def test_the_newest_of_two_counts_and_both_are_named(handins, grade, tmp_path):
    copies(handins, new=2_000_000, old=1_000_000)
    grade()
    new, old = table(tmp_path / "out" / "gradebook.csv")
    assert (old["status"], old["auto_score"]) == ("REPLACED", "")
    assert "PB1+Ann+LAB3_new of the same id is newer" in old["note"]
    assert (new["status"], new["auto_score"]) == ("OK", "65")
    assert "not counted: PB1+Ann+LAB3_old" in new["note"]


def test_of_two_equally_new_ones_a_person_decides(handins, grade, tmp_path):
    copies(handins, a=1_000_000, b=1_000_000)
    grade()
    rows = table(tmp_path / "out" / "gradebook.csv")
    assert [row["status"] for row in rows] == ["REVIEW", "REVIEW"]
    assert "as new as PB1+Ann+LAB3_b" in rows[0]["note"] and "as new as PB1+Ann+LAB3_a" in rows[1]["note"]


def test_one_id_under_two_names_replaces_nobody(handins, grade, tmp_path):
    os.utime(add(handins, "PB1", name="Ann"), (1_000_000, 1_000_000))
    add(handins, "pb1", name="Bob")
    grade()
    rows = table(tmp_path / "out" / "gradebook.csv")
    assert [(row["status"], row["auto_score"]) for row in rows] == [("REVIEW", "70"), ("REVIEW", "70")]
    assert "another name than pb1+Bob+LAB3 of the same id" in rows[0]["note"]


# --------------------------------------------------------------------------- students compared


def test_equal_parameters_are_a_note(handins, grade):
    for i, word in enumerate((b"one", b"two", b"three")):
        add(handins, f"PB{i}", b"same " + word)
    rows = grade()
    assert {row["status"] for row in rows.values()} == {"OK"}
    assert rows["PB0"]["note"] == "the same parameters as PB1+Ann+LAB3, PB2+Ann+LAB3"


def test_equal_parameters_with_equal_code_are_reviewed(handins, grade, tmp_path):
    for i, word in enumerate((b"copy", b"same x", b"copy")):
        add(handins, f"PB{i}", word)
    rows = grade()
    assert [rows[f"PB{i}"]["status"] for i in range(3)] == ["REVIEW", "OK", "REVIEW"]
    assert "nearly the same code and the same parameters as PB2+Ann+LAB3" in rows["PB0"]["note"]
    assert "PB0+Ann+LAB3" in rows["PB2"]["note"]
    feedback = (tmp_path / "out/feedback/PB0+Ann+LAB3/feedback.json").read_text(encoding="utf-8")
    assert "PB2" not in feedback  # no student reads another's name


def test_equal_parameters_and_code_that_cannot_be_seen_are_reviewed(handins, grade):
    def without_trees(handin, index, settings):
        record = play(handin, index, settings)
        return record | {"fingerprint": dict.fromkeys(record["fingerprint"], "")}

    for i, word in enumerate((b"same x", b"same y", b"right")):
        add(handins, f"PB{i}", word)
    rows = grade(grader=without_trees)
    assert [rows[f"PB{i}"]["status"] for i in range(3)] == ["REVIEW", "REVIEW", "OK"]
    assert "code that cannot be compared and the same parameters as PB1+Ann+LAB3" in rows["PB0"]["note"]


@pytest.mark.parametrize(
    ("changed", "similar"),
    [({}, True), ({"pca_fit": "q " * 9}, False), ({"e_step": ""}, False), ({"m_step": "other words " * 20}, False)],
)
def test_code_is_similar_only_where_all_filled_regions_are(changed, similar):
    trees = {name: f"{name} " + "body of a tree " * 30 for name in ("e_step", "m_step", "sample_from_gmm")}
    one = gradebook.Code.of(trees | {"pca_fit": ""})
    assert one.similar(gradebook.Code.of(trees | {"pca_fit": ""} | changed)) == similar


def test_untouched_regions_are_no_likeness():
    untouched = gradebook.Code.of(dict.fromkeys(("e_step", "m_step", "pca_fit", "sample_from_gmm"), ""))
    assert not untouched.similar(untouched)


# --------------------------------------------------------------------------- feedback and summary


def test_feedback_tells_what_was_lost_and_nothing_is_interpreted(handins, grade, tmp_path):
    add(handins, "PB1", b"wrong <script>alert(1)</script>\n\n# forged")
    grade()
    folder = tmp_path / "out" / "feedback" / "PB1+Ann+LAB3"
    text = (folder / "feedback.md").read_text(encoding="utf-8")
    assert "| 1.1 E-step | 5 / 10 | WRONG |" in text
    assert "| sum | 65 / 70 | |" in text
    assert "    row <script>alert(1)</script>" in text  # an indented block
    assert "\n    # forged" in text
    feedback = json.loads((folder / "feedback.json").read_text(encoding="utf-8"))
    assert feedback["auto_score"] == 65
    assert {"questions", "sample_index", "config", "db", "db_sklearn", "accuracy", "nmi", "ari", "log_likelihood",
            "dataset", "guards", "versions", "reproduced", "auto_points"} <= set(feedback)  # fmt: skip
    assert not set(gradebook.NOT_FOR_STUDENTS) & set(feedback)


def test_summary_counts_losses_and_their_causes(handins, grade, tmp_path):
    for i in range(5):
        add(handins, f"PB{i}", b"wrong %d" % i if i < 3 else RIGHT)
    add(handins, "PB6", b"unanswered")
    (handins / "notes.txt").touch()
    grade("--no-rerun")
    text = (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")
    assert "6 hand-ins: 5 OK, 1 SKIPPED" in text
    assert "| 1.1 E-step | 10 | 6 | 7.50 | 3 | 0 |" in text
    assert "1.1 E-step, 3 times: WRONG: row N is off" in text
    assert "NOT reproduced" in text
    assert "left alone: notes.txt" in text
    assert "No report" not in text
    assert "PB6+Ann+LAB3: sample\\_index SKIPPED: no answer" in text


def test_summary_counts_what_was_not_attempted_without_its_place(handins, grade, tmp_path):
    add(handins, "PB1", b"empty 1.1 E-step")
    assert "\n- 1.1 E-step, once: ERROR: not attempted\n" in summary_of(grade, tmp_path)


def summary_of(grade, tmp_path) -> str:
    grade()
    return (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")


def test_summary_lists_those_without_a_report(handins, grade, tmp_path):
    add(handins, "PB1")
    for student_id in ("PB2", "PB3"):
        zipped(handins / f"{student_id}+Ann+LAB3.zip", {"submission.py": RIGHT})
    assert "\n- No report: PB2+Ann+LAB3, PB3+Ann+LAB3\n" in summary_of(grade, tmp_path)


def test_feedback_of_hand_ins_that_are_gone_is_removed(handins, grade, tmp_path):
    paths = [add(handins, f"PB{i}") for i in range(3)]
    grade()
    feedback = tmp_path / "out" / "feedback"
    (feedback / "mine").mkdir()
    (feedback / "PB2+Ann+LAB3" / "talk.txt").touch()
    for path in paths[1:]:
        path.unlink()
    grade("--resume")
    assert {path.name for path in feedback.iterdir()} == {"PB0+Ann+LAB3", "PB2+Ann+LAB3", "mine"}


def test_hand_ins_have_safe_and_different_file_names():
    names = ["a/b", "a\\b", "a:b", "张三+1+LAB3", "x" * 300, "x" * 301, "..", "a. "]
    names.append(gradebook.file_name("a:b"))  # somebody else's name, made up to meet it
    made = [gradebook.file_name(name) for name in names]
    assert len(set(map(str.casefold, made))) == len(names)
    assert made[3] == "张三+1+LAB3"
    for name in made:
        assert not set(name) & set('/\\:*?"<>|.') and len(name) < 70 and name == name.strip()


# --------------------------------------------------------------------------- interruptions


def test_a_second_run_needs_resume(handins, grade):
    add(handins, "PB1")
    grade()
    with pytest.raises(LabError, match="--resume"):
        grade()


def test_resume_grades_only_what_is_new_or_changed(handins, grade, tmp_path):
    log = tmp_path / "log"
    code = f"log {log}".encode()
    for i in range(3):
        add(handins, f"PB{i}", code)
    first = grade()
    assert len(log.read_text().split()) == 3
    add(handins, "PB1", code + b" ")
    add(handins, "PB3", code)
    second = grade("--resume")
    assert sorted(log.read_text().split()[3:]) == ["PB1+Ann+LAB3", "PB3+Ann+LAB3"]
    assert second == first | {"PB3": second["PB3"]}
    (handins / "PB0+Ann+LAB3.zip").unlink()
    assert list(grade("--resume")) == ["PB1", "PB2", "PB3"]
    assert len(log.read_text().split()) == 5


def test_without_the_rerun_all_are_graded_again(handins, grade, tmp_path):
    log = tmp_path / "log"
    add(handins, "PB1", f"log {log}".encode())
    grade()
    grade("--resume", "--no-rerun")
    assert len(log.read_text().split()) == 2


@pytest.mark.parametrize(
    ("option", "cause"),
    [
        (("--seed", "0"), "holds records made with seed 2026, not 0; add --seed 2026, or name another --out"),
        (("--seed", "2026", "--dataset", "mnist"), "made with dataset digits, not mnist; add --dataset digits"),
    ],
)
def test_another_seed_or_data_set_is_refused(handins, grade, tmp_path, option, cause):
    add(handins, "PB1")
    grade("--seed", "2026")
    before = (tmp_path / "out" / "gradebook.csv").read_bytes()
    with pytest.raises(LabError) as caught:
        grade("--resume", *option)
    assert cause in str(caught.value)
    assert (tmp_path / "out" / "gradebook.csv").read_bytes() == before


def test_our_faults_and_damaged_records_are_graded_again(handins, grade, tmp_path):
    for i in range(3):
        add(handins, f"PB{i}")
    whole = grade(out="whole")
    grade(grader=fails)
    (tmp_path / "out/records/PB1+Ann+LAB3.json").write_text('{"hand_in": "PB1+Ann+LAB3"')
    (tmp_path / "out/records/PB2+Ann+LAB3.json").write_text("[]")
    assert grade("--resume") == whole


def fails(handin, index, settings):
    raise RuntimeError("no disk")


def test_an_interruption_keeps_what_was_graded(handins, grade, tmp_path):
    for i in range(4):
        add(handins, f"PB{i}")
    whole = grade(out="whole")
    with pytest.raises(KeyboardInterrupt):
        grade(grader=interrupted)
    rows = {row["student_id"]: row for row in table(tmp_path / "out" / "gradebook.csv")}
    assert rows == {i: whole[i] for i in ("PB0", "PB1")}
    assert "2 of 4 are not graded yet" in (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")
    with pytest.raises(LabError, match="^2 hand-ins are not graded yet; finish with --resume$"):
        merge.merge(tmp_path / "out", tmp_path / "marks.csv")
    assert grade("--resume") == whole


def test_while_a_class_is_graded_there_is_no_old_gradebook_to_merge(handins, grade, tmp_path):
    add(handins, "PB1")
    grade()
    add(handins, "PB2")
    seen = []

    def watch(*arguments):
        seen.append((tmp_path / "out" / "gradebook.json").exists())
        return play(*arguments)

    grade("--resume", grader=watch)
    assert seen == [False]


def interrupted(handin, index, settings):
    if handin.student_id == "PB2":
        raise KeyboardInterrupt
    return play(handin, index, settings)


COMMAND = """
import sys
import threading
sys.path[:0] = {paths!r}
import test_grade_class, utils
from staff import grade_class
grade_class.grade_one.grade_one = test_grade_class.play
grade_class.grade_class.__defaults__ = (test_grade_class.play,)
sys.exit(utils.run_script(lambda: grade_class.main(sys.argv[1:])))
"""


def command(*arguments) -> subprocess.Popen:
    """``python -m staff.grade_class`` with ``play`` for a grader, in a process group of its own."""
    code = COMMAND.format(paths=[str(ROOT), str(ROOT / "tests")])
    line = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_class_goes_on_where_it_was(handins, grade, tmp_path, how):
    for i in range(8):
        add(handins, f"PB{i}", b"sleep 0.3")
    out = tmp_path / "out"
    process = command(handins, "--out", out, "--dataset", "digits", "--jobs", 2)
    wait_until(lambda: len(list(out.glob("records/*.json"))) >= 2)
    os.killpg(process.pid, how)
    errors = process.communicate(timeout=30)[1]
    kept = {path: path.stat().st_mtime_ns for path in out.glob("records/*.json")}
    assert 2 <= len(kept) < 8
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "--resume" in errors and "Traceback" not in errors
        assert len(table(out / "gradebook.csv")) == len(kept)
    grade_one.facts.cache_clear()  # as the command has them, though somebody edits the lab meanwhile
    assert len(grade("--resume")) == 8
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_killed_class_takes_its_workers_with_it(handins, tmp_path, standin):
    pids = tmp_path / "pids"
    pids.mkdir()
    for i in range(2):
        add(handins, f"PB{i}", f"pid {pids}".encode())
    process = command(handins, "--out", tmp_path / "out", "--dataset", "digits", "--jobs", 2)
    wait_until(lambda: len(list(pids.iterdir())) == 2)
    process.kill()  # this one process only
    process.communicate(timeout=30)
    wait_until(lambda: not any(psutil.pid_exists(int(path.name)) for path in pids.iterdir()), seconds=10)


# --------------------------------------------------------------------------- workers that die


def test_workers_that_end_cost_one_row_each(handins, grade):
    for i in range(5):
        add(handins, f"PB{i}", b"exit" if i in (1, 2) else RIGHT)
    rows = grade(jobs=2)
    assert [rows[f"PB{i}"]["status"] for i in range(5)] == ["OK", "REVIEW", "REVIEW", "OK", "OK"]
    for i in (1, 2):
        assert "its worker ended (TerminatedWorkerError)" in rows[f"PB{i}"]["note"]


def test_a_worker_that_ends_once_costs_nothing(handins, grade, tmp_path):
    for i in range(6):
        add(handins, f"PB{i}", f"exit_once {tmp_path / 'mark'}".encode() if i == 2 else RIGHT)
    assert {row["status"] for row in grade(jobs=2).values()} == {"OK"}


# --------------------------------------------------------------------------- arguments


def refuse(run_script, *arguments) -> str:
    done = run_script(grade_class, *arguments)
    assert done.status == 2
    assert done.err.count("\n") == 1
    return done.err


def test_wrong_arguments_are_one_line(handins, tmp_path, run_script, standin):
    out = ("--out", tmp_path / "out")
    assert "no folder" in refuse(run_script, tmp_path / "nowhere", *out)
    assert "no hand-in" in refuse(run_script, handins, *out)
    add(handins, "PB1")
    assert "lies in the hand-ins" in refuse(run_script, handins, "--out", handins / "out")
    assert "--jobs" in refuse(run_script, handins, *out, "--jobs", 0)
    assert "--seed" in refuse(run_script, handins, *out, "--seed", -1)
    assert "belong together" in refuse(run_script, handins, *out, "--backend", "dask")
    assert "no file" in refuse(run_script, handins, *out, "--dataset", "digits", "--indices", tmp_path / "no.csv")
    assert "--help" in refuse(run_script, handins)
    assert not (tmp_path / "out").exists()


def test_help_tells_where_hand_ins_must_lie(capsys):
    with pytest.raises(SystemExit):
        grade_class.main(["--help"])
    assert "need not be on a shared disk" in capsys.readouterr().out


# --------------------------------------------------------------------------- the staff's list of answers


def test_indices_answer_for_those_without_grade_json(handins, grade, tmp_path):
    add(handins, "PB1", b"unanswered")
    add(handins, "PB2", b"unanswered")
    path = tmp_path / "indices.csv"
    add(handins, "PB3", b"unanswered")
    path.write_text("student_id,sample_index\r\npb2,4\r\nPB1,\r\nPB3,3.0\r\n", encoding="utf-8-sig")
    rows = grade("--indices", path)
    assert [rows[i]["status"] for i in ("PB1", "PB2", "PB3")] == ["SKIPPED", "OK", "OK"]
    record = gradebook.load_record(tmp_path / "out", "PB3+Ann+LAB3")
    assert record["settings"]["index"] == 3


def test_a_resume_without_the_list_keeps_what_it_said(handins, grade, tmp_path):
    add(handins, "PB1", b"unanswered")
    path, record = tmp_path / "indices.csv", tmp_path / "out/records/PB1+Ann+LAB3.json"
    path.write_text("student_id,sample_index\nPB1,4\n")
    grade()
    answered = grade("--resume", "--indices", path)
    written = record.stat().st_mtime_ns
    assert answered["PB1"]["sample_index"] == "5"
    assert grade("--resume") == answered
    assert record.stat().st_mtime_ns == written
    add(handins, "PB1", b"unanswered twice")
    assert grade("--resume") == answered
    path.write_text("student_id,sample_index\nPB1,\n")  # the list that is given counts
    assert grade("--resume", "--indices", path)["PB1"]["status"] == "SKIPPED"


def test_a_list_that_comes_later_costs_no_grading(handins, grade, tmp_path, monkeypatch):
    log = tmp_path / "log"
    for i in range(3):
        add(handins, f"PB{i}", f"log {log}".encode())

    def signed(*arguments):
        return play(*arguments) | {"signature": [[0.5, 1.0, 2.0]]}

    def answered(record, handin, index, settings):
        if handin.student_id == "PB2":
            raise OSError("no disk")
        return record | {"settings": grade_one.made_under(settings, index), "notes": [f"answer {index}"]}

    monkeypatch.setattr(grade_one, "answered", answered)
    grade(grader=signed)
    (tmp_path / "indices.csv").write_text("student_id,sample_index\nPB1,4\nPB2,4\n")
    rows = grade("--resume", "--indices", tmp_path / "indices.csv", grader=signed)
    assert "answer 4" in rows["PB1"]["note"] and "answer" not in rows["PB0"]["note"] + rows["PB2"]["note"]
    assert log.read_text().split()[3:] == ["PB2+Ann+LAB3"]
    assert grade("--resume", grader=signed) == rows
    assert len(log.read_text().split()) == 4


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("student_id,sample_index\nPB1,3\nPB9,3\n", "line 3, column student_id: 'PB9' handed nothing in"),
        ("student_id,sample_index\nPB1,six\n", "line 2, column sample_index: 'six' is no whole number"),
        ("student_id,sample_index\nPB1,3.5\n", "line 2, column sample_index: '3.5' is no whole number"),
        ("student_id,sample_index\nPB1,-1\n", "line 2, column sample_index: '-1'"),
        ("student_id,sample_index\nPB1,1\nPB1,2\n", "line 3, column student_id: PB1 is there twice"),
        ("student_id,index\nPB1,3\n", "line 1: it lacks the column sample_index"),
        ("", "line 1: the file is empty"),
    ],
)
def test_wrong_lists_name_line_and_column(handins, grade, tmp_path, text, cause):
    add(handins, "PB1")
    (tmp_path / "indices.csv").write_text(text)
    with pytest.raises(LabError, match="indices.csv") as caught:
        grade("--indices", tmp_path / "indices.csv")
    assert cause in str(caught.value)


# --------------------------------------------------------------------------- tables


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_are_read_as_spreadsheets_write_them(tmp_path, encoding, delimiter):
    path = tmp_path / "t.csv"
    text = 'id,Name\r\n\r\n1,"张三"\r\n2,李四,\r\n,\r\n'.replace(",", delimiter)
    path.write_bytes(text.encode(encoding))
    rows, notes = tables.read(path, ["id"])
    assert [(row.line, row.cells) for row in rows] == [
        (3, {"id": "1", "name": "张三"}),
        (4, {"id": "2", "name": "李四"}),
    ]
    assert bool(notes) == (encoding == "gbk")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_where_no_commas_part_cells_numbers_may_have_one(tmp_path, delimiter):
    path = tmp_path / "t.csv"
    path.write_text("sep=;\r\nid;log;comment\r\n1;13,5;one,two\r\n".replace(";", delimiter), newline="")
    ((row,), _) = tables.read(path, ["id"], ["log", "comment"])
    assert (row.line, row.cells) == (3, {"id": "1", "log": "13.5", "comment": "one,two"})


@pytest.mark.parametrize("content", [b"id\n\x00\x01\x02", b"\xff\xfe\xff", b"id\n\x81"])
def test_what_is_no_text_is_one_line(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(LabError, match="no text"):
        tables.read(tmp_path / "t.csv", ["id"])


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@a", "\t=1", " =1", "＝1", "plain", "", 'a,"b"', "'=1"])
def test_cells_come_back_as_they_were_and_are_no_formulas(tmp_path, value):
    path = tmp_path / "t.csv"
    tables.write(path, ["id", "text"], [{"id": "1", "text": value}])
    with path.open(encoding="utf-8-sig", newline="") as file:
        cell = list(csv.reader(file))[1][1]
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝"))
    ((row,), _) = tables.read(path, ["id"], ["text"])
    assert row.cells["text"] == (value.strip() if value != "'=1" else "=1")


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (30.0, "30"), (28.92314, "28.9231"), (0.0, "0"), (100, "100"), (0.00001, "0")]
)
def test_numbers_are_short(value, text):
    assert tables.guarded(value) == text


# --------------------------------------------------------------------------- merge

REPORT = "student_id,log,tuning,results,questions,feedback"


@pytest.fixture
def final(handins, grade, tmp_path):
    """Grade the class if it was not, merge these marks, and return final.csv by student id."""

    def run(marks: str, *options) -> dict[str, dict]:
        grade(*options, "--resume")
        (tmp_path / "marks.csv").write_text(marks, encoding="utf-8-sig")
        merge.merge(tmp_path / "out", tmp_path / "marks.csv")
        return {row["student_id"]: row for row in table(tmp_path / "out" / "final.csv")}

    return run


def test_merge_adds_up_to_100(handins, final):
    add(handins, "PB1")
    add(handins, "PB2", b"wrong 1")
    rows = final(f"{REPORT},comment\nPB1,2,5,2,20,1,=very good\npb2,0,2.5,1,0,0,\n")
    assert (rows["PB1"]["total"], rows["PB1"]["report_score"], rows["PB1"]["undecided"]) == ("100", "30", "")
    assert rows["PB1"]["comment"] == "'=very good"
    assert (rows["PB2"]["total"], rows["PB2"]["auto_score"]) == ("68.5", "65")


def test_what_is_not_decided_has_no_total(handins, final):
    for i, word in enumerate((b"review", b"unanswered", b"right", b"right", b"copy", b"copy")):
        add(handins, f"PB{i}", word)
    full = "2,5,2,20,1"
    rows = final(f"{REPORT}\n" + "".join(f"PB{i},{full}\n" for i in (0, 1, 4, 5)) + "PB2,2,,2,20,1\n")
    undecided = {i: row["undecided"] for i, row in rows.items()}
    assert undecided == {
        "PB0": "performance",
        "PB1": "sample_index",
        "PB2": "tuning",
        "PB3": "log, tuning, results, questions, feedback",
        "PB4": "status",
        "PB5": "status",
    }
    assert {row["total"] for row in rows.values()} == {""}


def test_marks_decide_open_rows(handins, final):
    for i, word in enumerate((b"review", b"unanswered", b"copy", b"copy", b"right")):
        add(handins, f"PB{i}", word)
    full = "2,5,2,20,1"
    rows = final(
        f"{REPORT},performance,sample_index,e_step,status\n"
        f"PB0,{full},25.5,,,\nPB1,{full},,5,,\nPB2,{full},,,,ok\nPB3,{full},,,0,OK\nPB4,{full},,,7,\n"
    )
    assert {i: row["total"] for i, row in rows.items()} == {
        "PB0": "95.5", "PB1": "100", "PB2": "100", "PB3": "90", "PB4": "97",
    }  # fmt: skip
    assert "performance by hand, graded open" in rows["PB0"]["note"]
    assert "e_step by hand, graded 10" in rows["PB4"]["note"]


def test_merge_survives_grading_again(handins, final, tmp_path):
    add(handins, "PB1", b"review")
    add(handins, "PB2", b"wrong 1")
    marks = f"{REPORT},performance\nPB1,2,5,2,20,1,25\nPB2,2,5,2,20,1,\n"
    before = final(marks)
    add(handins, "PB2", b"right")
    add(handins, "PB3")
    after = final(marks)
    assert after["PB1"] == before["PB1"]
    assert (before["PB2"]["total"], after["PB2"]["total"]) == ("95", "100")
    assert after["PB3"]["undecided"].startswith("log")
    assert (tmp_path / "marks.csv").read_text(encoding="utf-8-sig") == marks


def test_replaced_hand_ins_vanish(handins, final):
    copies(handins, new=2_000_000, old=1_000_000)
    rows = final(f"{REPORT}\nPB1,2,5,2,20,1\n")
    assert (rows["PB1"]["hand_in"], rows["PB1"]["total"]) == ("PB1+Ann+LAB3_new", "95")


def test_equally_new_hand_ins_stay_undecided(handins, final):
    copies(handins, a=1_000_000, b=1_000_000)
    rows = final(f"{REPORT},status\nPB1,2,5,2,20,1,OK\n")
    assert (rows["PB1"]["undecided"], rows["PB1"]["total"]) == ("two hand-ins for one id", "")


def test_a_hand_in_without_an_id_is_marked_by_its_name(handins, final):
    add(handins, "PB1").rename(handins / "homework.zip")
    rows = final(f"{REPORT},status\nhomework,2,5,2,20,1,OK\n")
    assert rows[""]["total"] == "100"


def test_a_file_named_after_another_student_gets_none_of_that_ones_marks(handins, final, grade, tmp_path):
    zipped(handins / "PB2.zip", {"PB1+Eve+LAB3/submission.py": b"unanswered"})
    add(handins, "PB2", b"unanswered", name="Rex")
    rows = final(f"{REPORT},comment\nPB1,0,0,0,0,0,\nPB2,2,5,2,20,1,Rex: excellent\n")
    assert (rows["PB1"]["report_score"], rows["PB1"]["comment"]) == ("0", "")
    assert (rows["PB2"]["report_score"], rows["PB2"]["comment"]) == ("30", "Rex: excellent")
    (tmp_path / "indices.csv").write_text("student_id,sample_index\nPB2,3\n")
    answered = grade("--resume", "--indices", tmp_path / "indices.csv")
    assert answered["PB2"]["sample_index"] == "5"
    assert [row["sample_index"] for row in table(tmp_path / "out/gradebook.csv") if row["name"] == "Eve"] == [""]


def test_the_column_hand_in_names_a_row_without_an_id(handins, final):
    add(handins, "PB1").rename(handins / "my  homework.zip")  # two spaces, which the gradebook shows as one
    assert final(f"hand_in,{REPORT},status\nmy homework,,2,5,2,20,1,OK\n")[""]["total"] == "100"
    with pytest.raises(LabError, match="line 3, column hand_in: my homework has line 2 already"):
        final(f"hand_in,{REPORT}\n,my homework,2,5,2,20,1\nmy homework,,2,5,2,20,1\n")
    with pytest.raises(LabError, match="line 2, column hand_in: 'other' is not in the gradebook"):
        final(f"hand_in,{REPORT}\nother,,2,5,2,20,1\n")


def test_who_handed_nothing_in_and_has_no_marks_is_left_out(handins, final, tmp_path):
    add(handins, "PB1")
    rows = final(f"{REPORT},comment\nPB1,2,5,2,20,1,\nPB8,,,,,,ill\nPB9,,,,,,\n")
    assert list(rows) == ["PB1"]
    notes = merge.merge(tmp_path / "out", tmp_path / "marks.csv").notes
    assert notes == ["not in the gradebook and without marks, left out: PB8, PB9"]


def test_the_template_is_accepted_once_it_is_filled(handins, grade, tmp_path):
    add(handins, "PB1", b"review", "张三")
    add(handins, "PB2").rename(handins / "homework.zip")
    grade()
    path = tmp_path / "out" / "marks_template.csv"
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = table(path)
    assert list(rows[0]) == ["hand_in", "student_id", "name", *merge.REPORT, "performance", "status", "comment"]
    assert [list(row.values())[:3] for row in rows] == [["homework", "", ""], ["PB1+张三+LAB3", "PB1", "张三"]]
    assert not any(text for row in rows for text in list(row.values())[3:])
    filled = [row | merge.REPORT | {"performance": 25, "status": "OK"} for row in rows]
    tables.write(path, list(rows[0]), filled)
    assert [row["total"] for row in merge.merge(tmp_path / "out", path).rows] == [95, 95]


def test_the_template_has_one_line_for_a_student_and_keeps_marks(handins, grade, tmp_path):
    copies(handins, a=1_000_000, b=1_000_000)
    add(handins, "PB2")
    grade()
    path = tmp_path / "out" / "marks_template.csv"
    assert [row["student_id"] for row in table(path)] == ["PB1", "PB2"]
    add(handins, "PB3")
    grade("--resume")
    assert [row["student_id"] for row in table(path)] == ["PB1", "PB2", "PB3"]
    marks = f"{REPORT}\nPB1,2,5,2,20,1\n"
    path.write_text(marks, encoding="utf-8", newline="")
    grade("--resume")
    assert path.read_text(encoding="utf-8") == marks
    assert "is filled in and was left as it is" in (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")


def test_the_next_command_is_printed_as_a_shell_reads_it(handins, tmp_path, run_script, standin):
    (handins / "empty.zip").touch()
    done = run_script(grade_class, handins, "--out", tmp_path / "my out", "--dataset", "digits", "--jobs", 1)
    assert "fill in marks_template.csv" in done.out
    *_, last = done.out.splitlines()
    assert shlex.split(last)[3:] == ["merge", "--out", str(tmp_path / "my out"), "--marks", "marks.csv"]


def test_merge_ends_the_feedback_with_the_final_points(handins, final, tmp_path, files_below):
    add(handins, "PB1", b"wrong x\n## Final\n")
    add(handins, "PB2")
    path = tmp_path / "out/feedback/PB1+Ann+LAB3/feedback.md"
    final(f"{REPORT},comment\nPB1,2,5,2,20,1,\n")
    before = path.read_text(encoding="utf-8")
    assert before.endswith("| report: feedback | 1 / 1 |\n| total | 95 / 100 |\n")
    assert "| total | open / 100 |" in (path.parents[1] / "PB2+Ann+LAB3/feedback.md").read_text(encoding="utf-8")
    (tmp_path / "marks.csv").write_text(f"{REPORT},e_step,comment\nPB1,2,5,2,20,1,7.5,<b>Good\n")
    merge.merge(tmp_path / "out", tmp_path / "marks.csv")
    after = path.read_text(encoding="utf-8")
    graded, _, told = after.partition("\n## Final\n")
    assert graded == before.partition("\n## Final\n")[0] and "    ## Final" not in told
    assert "| 1.1 E-step | 7.5 / 10 |" in told and told.endswith("| total | 97.5 / 100 |\n\n    <b>Good\n")
    files = files_below(tmp_path / "out")
    merge.merge(tmp_path / "out", tmp_path / "marks.csv")
    assert files_below(tmp_path / "out") == files


@pytest.mark.parametrize(
    ("student_id", "hint"),
    [
        ("23001", " (it has 0023001: a spreadsheet changed it;"),
        ("2.02312E+11", " (a spreadsheet changed it;"),
        ("7", ";"),
    ],
)
def test_an_id_that_a_spreadsheet_changed_has_a_hint(handins, final, student_id, hint):
    add(handins, "0023001")
    with pytest.raises(LabError) as caught:
        final(f"{REPORT}\n{student_id},2,5,2,20,1\n")
    assert f"'{student_id}' is not in the gradebook{hint}" in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ("PB1,2,5,2,20,1\nPB9,2,5,2,20,1\n", "line 3, column student_id: 'PB9' is not in the gradebook"),
        ("PB1,2,6,2,20,1\n", "line 2, column tuning: 6 is not between 0 and 5"),
        ("PB1,2,-1,2,20,1\n", "line 2, column tuning: -1 is not"),
        ("PB1,nan,5,2,20,1\n", "line 2, column log: nan is not"),
        ("PB1,2,5,two,20,1\n", "line 2, column results: 'two' is no number"),
        ("PB1,2,5,2,20,1\nPB1,2,5,2,20,1\n", "line 3, column student_id: PB1 has line 2 already"),
        (",2,5,2,20,1\n", "line 2, column student_id: it is empty"),
        ("PB1,2,5,2,20,1,9\n", "line 2: 7 cells, but 6 columns"),
        ("PB1,9,9,9,99,9\n", "column questions: 99"),
    ],
)
def test_wrong_marks_name_line_and_column(handins, final, tmp_path, lines, cause):
    add(handins, "PB1")
    with pytest.raises(LabError) as caught:
        final(f"{REPORT}\n{lines}")
    assert str(caught.value).startswith("marks.csv, line")
    assert cause in str(caught.value)
    assert not (tmp_path / "out" / "final.csv").exists()


def test_unknown_and_missing_columns_are_errors(handins, final):
    add(handins, "PB1")
    with pytest.raises(LabError, match="line 1: it lacks the column log"):
        final("student_id,tuning,results,questions,feedback\n")
    with pytest.raises(LabError, match="unknown column performence"):
        final(f"{REPORT},performence\n")


def test_merge_command_lists_what_is_open(handins, final, tmp_path, run_script):
    add(handins, "PB1", b"review", "张三")
    final(f"{REPORT}\nPB1,2,5,2,20,1\n")
    (tmp_path / "marks.csv").write_bytes(f"{REPORT},name\nPB1,2,5,2,20,1,张三\n".encode("gbk"))
    done = run_script(grade_class, "merge", "--out", tmp_path / "out", "--marks", tmp_path / "marks.csv")
    assert done.status == 0
    assert "undecided: PB1 张三 (PB1+张三+LAB3): performance" in done.out
    assert "read as GBK" in done.out
    assert "1 students, 1 undecided" in done.out
    assert "no gradebook" in refuse(run_script, "merge", "--out", tmp_path, "--marks", tmp_path / "marks.csv")
    assert "no file" in refuse(run_script, "merge", "--out", tmp_path / "out", "--marks", tmp_path / "no.csv")


# --------------------------------------------------------------------------- a cluster


@pytest.fixture
def cluster(standin, tmp_path, request):
    """A Dask scheduler and two workers on the loopback address, each a process of its own: ``(address, workers)``.

    The parameter says who looks after the workers: ``--no-nanny`` or ``--nanny``, which starts dead ones again.
    """
    pytest.importorskip("distributed", reason="Dask is in requirements-extra.txt only")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        "DASK_DISTRIBUTED__WORKER__DAEMON": "False",
        "OMP_NUM_THREADS": "1",
    }
    address_file = tmp_path / "scheduler.json"
    options = {"env": environment, "cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    python = [sys.executable, "-m"]
    scheduler = [*python, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    processes = [subprocess.Popen([*scheduler, "--scheduler-file", str(address_file)], **options)]
    try:
        wait_until(lambda: "address" in read_json(address_file))
        address = read_json(address_file)["address"]
        worker = [*python, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
        worker.append(request.param)
        processes += [subprocess.Popen(worker, **options) for _ in range(2)]
        yield address, processes[1:]
    finally:
        for process in reversed(processes):  # a nanny that is killed leaves its worker behind
            process.terminate()
            process.wait(timeout=30)


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["--no-nanny"], indirect=True)
def test_a_cluster_grades_the_class_though_a_worker_is_killed(handins, grade, cluster, tmp_path):
    address, workers = cluster
    for i in range(8):
        add(handins, f"PB{i}", b"sleep 1." + b"0" * i)
    killer = threading.Thread(target=kill_after_records, args=(tmp_path / "out", 2, workers[0]))
    killer.start()
    rows = grade("--backend", "dask", "--scheduler", address)
    killer.join()
    assert workers[0].poll() is not None
    assert list(rows) == [f"PB{i}" for i in range(8)]
    assert {row["status"] for row in rows.values()} == {"OK"}
    assert rows == grade(out="here")


def kill_after_records(out: Path, count: int, process: subprocess.Popen) -> None:
    wait_until(lambda: len(list(out.glob("records/*.json"))) >= count)
    process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["--nanny"], indirect=True)
def test_a_hand_in_that_kills_the_clusters_workers_costs_one_row(handins, grade, cluster, monkeypatch):
    monkeypatch.setattr(pool, "LONGEST", 60)  # joblib is not told of tasks that Dask gave up
    address, _ = cluster
    for i in range(4):
        add(handins, f"PB{i}", b"exit" if i == 1 else RIGHT)
    rows = grade("--backend", "dask", "--scheduler", address)
    assert [rows[f"PB{i}"]["status"] for i in range(4)] == ["OK", "REVIEW", "OK", "OK"]


def test_a_cluster_that_is_not_there_is_one_line(handins, tmp_path, run_script, standin):
    pytest.importorskip("distributed", reason="Dask is in requirements-extra.txt only")
    add(handins, "PB1")
    options = ("--dataset", "digits", "--backend", "dask", "--scheduler")
    assert "no Dask cluster" in refuse(run_script, handins, "--out", tmp_path / "out", *options, "nonsense://")
