"""A class: every hand-in gets its row, whatever happens to other hand-ins, to a worker or to the whole run."""

import errno
import os
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext

import psutil
import pytest
from conftest import wait_until
from small_class import RIGHT, UNSANDBOXED, add, add_copies, feedback, play, said, table, zipped

from hi_mnist.cli import LabError
from hi_mnist.files import ROOT, read_json
from sandbox import bubblewrap
from staff import archives, grade_class, grade_one, gradebook, merge
from staff.holders import lock

pytest_plugins = ["small_class"]


def statuses(rows: dict[str, dict]) -> list[str]:
    return [row["status"] for row in rows.values()]


# --------------------------------------------------------------------------- the gradebook


def test_gradebook_has_a_row_for_each_and_empty_cells_with_a_cause(handins, grade, tmp_path):
    add(handins, "PB2", "wrong 3", "=1-cmd;x")
    add(handins, "PB1", name="张三")
    add(handins, "PB3", "review")
    add(handins, "PB4", "unanswered")
    rows = grade()
    assert (tmp_path / "out" / "gradebook.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert list(rows) == ["PB1", "PB2", "PB3", "PB4"]
    assert rows["PB2"]["name"] == "'=1-cmd;x"  # not a formula
    assert rows["PB1"] == {
        "hand_in": "PB1+张三+LAB3", "student_id": "PB1", "name": "张三", "e_step": "10", "m_step": "10", "pca_fit": "8",
        "sample_from_gmm": "7", "sample_index": "5", "performance": "30", "auto_score": "70", "status": "OK",
        "note": "",
    }  # fmt: skip
    assert (rows["PB2"]["e_step"], rows["PB2"]["auto_score"]) == ("5", "65")
    assert (rows["PB3"]["performance"], rows["PB3"]["status"], rows["PB3"]["auto_score"]) == ("", "REVIEW", "40")
    assert "performance REVIEW: K = 9" in rows["PB3"]["note"]
    assert (rows["PB4"]["sample_index"], rows["PB4"]["status"]) == ("", "SKIPPED")


def test_a_fault_is_one_rows_and_leaves_all_others_identical(handins, grade, monkeypatch):
    for i in range(5):
        add(handins, f"PB{i}", f"wrong {i}")
    before = grade(out="before")
    add(handins, "PB1", "raise")
    add(handins, "PB2", "unwritable")
    (handins / "PB3+Ann+LAB3.zip").write_bytes(b"PK not a zip")
    whole = archives.read
    monkeypatch.setattr(archives, "read", lambda found: 1 / 0 if found.student_id == "PB4" else whole(found))
    after = grade(out="after")
    assert statuses(after) == ["OK"] + 4 * ["REVIEW"]
    assert after["PB0"] == before["PB0"]
    assert "INTERNAL: a fault of the grading program: ZeroDivisionError: as asked" in after["PB1"]["note"]
    assert "a fault of the grading program" in after["PB2"]["note"] and "a fault" in after["PB4"]["note"]
    assert after["PB3"]["note"].count("damaged") == 1


def test_a_folder_with_anothers_id_is_told_in_both_rows_even_where_that_one_handed_in_twice(handins, grade, tmp_path):
    add_copies(handins, new=2_000_000)
    for name in ("Eve", "Ann"):
        zipped(handins / "whatever.zip", {f"PB1+{name}+LAB3/submission.py": b"right"})
        grade("--resume")
        rows = table(tmp_path / "out" / "gradebook.csv")
        assert sorted(row["status"] for row in rows) == [*(["REPLACED"] * (name == "Ann")), "REVIEW", "REVIEW"]
        assert sum("has the id PB1" in row["note"] for row in rows) == 2
        add_copies(handins, new=2_000_000, old=1_000_000)


def test_neither_order_nor_processes_show(handins, grade, tmp_path, files_below, monkeypatch):
    for i in range(3):
        add(handins, f"PB{i}", f"wrong {i}")
    grade("--seed", "1", out="one")
    with monkeypatch.context() as patch:
        patch.setattr(archives, "read", lambda found: 1 / 0)  # in this process, which reads none
        grade("--seed", "1", out="processes", jobs=2)
    monkeypatch.setattr(
        grade_class,
        "records",
        lambda pool, grader, jobs: (play(archives.read(j.found), pool.settings) for j in reversed(jobs)),
    )
    grade("--seed", "1", out="backwards")
    one, *others = (files_below(tmp_path / out) for out in ("one", "processes", "backwards"))
    assert others == [one, one]
    assert len([name for name in one if name.startswith("feedback/")]) == 3


# --------------------------------------------------------------------------- several hand-ins of one id


def test_the_newest_of_one_id_counts_or_a_person_decides(handins, grade, tmp_path):
    add_copies(handins, new=2_000_000, old=1_000_000)
    report = handins / "PB1+Ann+LAB3.pdf"
    report.touch()  # beside the archive, and newer
    grade()
    pdf, new, old = table(tmp_path / "out" / "gradebook.csv")
    assert pdf["status"] == "REPLACED" and "PB1+Ann+LAB3_new with the same id counts" in pdf["note"]
    report.unlink()
    assert (old["status"], old["auto_score"]) == ("REPLACED", "")
    assert "PB1+Ann+LAB3_new with the same id counts" in old["note"]
    assert (new["status"], new["auto_score"]) == ("OK", "65")
    assert "not counted: PB1+Ann+LAB3, PB1+Ann+LAB3_old" in new["note"]
    add_copies(handins, new=1_000_000, old=1_000_000)
    os.utime(add(handins, "PB2", name="Ann"), (1_000_000, 1_000_000))
    add(handins, "pb2", name="Bob")
    grade("--resume")
    rows = table(tmp_path / "out" / "gradebook.csv")
    assert [row["status"] for row in rows] == 4 * ["REVIEW"]
    assert all("PB1+Ann+LAB3_" in row["note"] and "with the same id is as new" in row["note"] for row in rows[:2])
    assert [row["auto_score"] for row in rows[2:]] == ["70", "70"]
    assert "pb2+Bob+LAB3 with the same id has another name" in rows[2]["note"]


def test_who_uploaded_under_anothers_id_replaces_nobody(handins, grade, tmp_path):
    def uploaded(prefix: str, at: int) -> list[dict]:
        path = add(handins, "PB20001")
        os.utime(path.rename(handins / f"{prefix}{path.name}"), (at, at))
        grade("--resume")
        return table(tmp_path / "out" / "gradebook.csv")

    uploaded("lee_123_1000_", 1_000_000)
    rows = uploaded("lee_LATE_123_2000_", 2_000_000)  # the same student's next one
    assert [row["status"] for row in rows] == ["REPLACED", "OK"]
    rows = uploaded("eve_456_3000_", 3_000_000)
    assert [(row["status"], row["auto_score"]) for row in rows] == 3 * [("REVIEW", "70")]
    assert all("uploaded by another" in row["note"] for row in rows)


# --------------------------------------------------------------------------- feedback and summary


def test_a_student_reads_nothing_that_is_for_staff(handins, grade, tmp_path):
    (handins / "PB2+Ann+LAB3.rar").write_bytes(b"Rar!")
    note, told = grade()["PB2"]["note"], feedback(tmp_path / "out", "PB2")
    assert "it is not a zip" in note and "--resume" in note
    assert "it is not a zip" in told and "--resume" not in told and "staff" not in told


def test_summary_counts_losses_and_their_causes(handins, grade, tmp_path):
    for i in range(5):
        add(handins, f"PB{i}", f"wrong {i}" if i < 3 else RIGHT)
    add(handins, "PB6", "unanswered")
    add(handins, "PB7", "empty 1.1 E-step")
    add(handins, "PB9", "near 27.5")
    zipped(handins / "PB8+Ann+LAB3.zip", {"submission.py": RIGHT})
    for name in ("notes.txt", *(f"Lab 3_u{i}_attempt_2026-11-20-10-00-00.txt" for i in range(6))):
        (handins / name).touch()
    grade("--no-rerun")
    text = said(tmp_path / "out" / "summary.html")
    assert "9 hand-ins: 7 OK, 1 SKIPPED, 1 REVIEW" in text and "PASS" not in text  # which is no cause
    assert "3 WRONG: row N is off PB0, PB1, PB2 1 ERROR: not attempted PB7" in text  # without its place
    assert "NOT reproduced" in text and "1 SKIPPED: no answer PB6" in text
    assert "left alone: notes.txt, Lab" in text and " and 4 more" in text and "no report: PB8+Ann+LAB3" in text


# --------------------------------------------------------------------------- interruptions


def test_resume_grades_only_what_is_new_or_changed(handins, grade, tmp_path):
    log = tmp_path / "log"
    for i in range(3):
        add(handins, f"PB{i}", f"log {log}")
    first = grade()
    assert len(log.read_text().split()) == 3
    with pytest.raises(LabError, match="--resume"):
        grade()
    add(handins, "PB1", f"log {log} ")
    add(handins, "PB3", f"log {log}")
    second = grade("--resume")
    assert sorted(log.read_text().split()[3:]) == ["PB1+Ann+LAB3", "PB3+Ann+LAB3"]
    assert second == first | {"PB3": second["PB3"]}
    feedback = tmp_path / "out" / "feedback"
    (feedback / "mine").mkdir()
    (feedback / "PB2+Ann+LAB3" / "talk.txt").touch()
    for i in (0, 2):
        (handins / f"PB{i}+Ann+LAB3.zip").unlink()
    assert list(grade("--resume")) == ["PB1", "PB3"]
    left = {"mine", "PB1+Ann+LAB3", "PB2+Ann+LAB3", "PB3+Ann+LAB3"}  # with a file that is not ours
    assert {path.name for path in feedback.iterdir()} == left
    assert len(log.read_text().split()) == 5
    grade("--resume", "--no-rerun")
    assert len(log.read_text().split()) == 7


def test_an_interruption_keeps_what_was_graded(handins, grade, tmp_path):
    for i in range(4):
        add(handins, f"PB{i}", "interrupt" if i == 2 else RIGHT)
    with pytest.raises(KeyboardInterrupt):
        grade()
    partial = table(tmp_path / "out" / "gradebook.csv")
    assert "2 of 4 are not graded yet" in said(tmp_path / "out" / "summary.html")
    with pytest.raises(LabError, match="2 wait.*--resume"):
        merge.merge(tmp_path / "out", tmp_path / "marks.csv")
    add(handins, "PB2")
    seen = []  # once a record is new, there is no old gradebook to merge

    def watch(*arguments):
        seen.append((tmp_path / "out" / "gradebook.json").exists())
        return play(*arguments)

    whole = grade("--resume", grader=watch)
    assert seen == [True, False]
    assert partial == [whole["PB0"], whole["PB1"]]
    assert grade(out="anew") == whole


def test_one_at_a_time_uses_the_folder(handins, grade, tmp_path, run_script, files_below):
    out, marks = tmp_path / "out", tmp_path / "marks.csv"
    marks.write_text("student_id,log,tuning,results,questions,feedback\nPB1,2,5,2,20,1\n")
    for i in (1, 2):
        add(handins, f"PB{i}")
    refused = []

    def meanwhile(*arguments):
        refused.append(run_script(grade_class, handins, "--out", out, "--dataset", "digits", "--resume", *UNSANDBOXED))
        refused.append(run_script(grade_class, "merge", "--out", out, "--marks", marks))
        return play(*arguments)

    rows = grade(grader=meanwhile)
    assert statuses(rows) == ["OK", "OK"]
    assert len(refused) == 4
    for done in refused:
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert f"--out {out} is in use by process {os.getpid()} of " in done.err
    assert run_script(grade_class, "merge", "--out", out, "--marks", marks).status == 0
    before = files_below(out)
    assert gradebook.LOCK not in before
    with lock(out / gradebook.LOCK, "it"), pytest.raises(LabError, match="in use"):
        grade("--resume")
    assert files_below(out) == before


def test_our_faults_cost_one_row_and_are_mended_by_resume(handins, grade, tmp_path, monkeypatch):
    for i in range(3):
        add(handins, f"PB{i}")
    whole, save = grade(out="whole"), gradebook.save_record
    grade(grader=lambda *_: 1 / 0)
    (tmp_path / "out/records/PB1+Ann+LAB3.json").write_text('{"hand_in": "PB1+Ann+LAB3"')
    (tmp_path / "out/records/PB2+Ann+LAB3.json").write_text('{"settings": []}')
    assert grade("--resume") == whole
    full = OSError(errno.ENOSPC, "No space left on device", "somewhere")
    for error, failures in ((full, 1), (LabError("it cannot be replaced"), 2)):
        left, out = [failures], f"out{failures}"

        def refuse(folder, record, left=left, error=error):
            if record["student_id"] == "PB1" and left[0]:
                left[0] -= 1
                raise error
            save(folder, record)

        monkeypatch.setattr(gradebook, "save_record", refuse)
        expected = pytest.raises(LabError, match=r"PB1\+Ann\+LAB3 could not be saved.*INTERNAL.*--resume")
        with expected if failures == 2 else nullcontext():  # not even the record of our fault
            grade(out=out)
        summary = said(tmp_path / out / "summary.html")
        assert ("could not be saved" in summary) == (failures == 2)
        rows = {row["student_id"]: row for row in table(tmp_path / out / "gradebook.csv")}
        assert statuses(rows) == ["OK", "REVIEW", "OK"]
        assert "INTERNAL: a fault of the grading program" in rows["PB1"]["note"]
        assert grade("--resume", out=out) == whole


def test_a_full_disk_leaves_earlier_files_whole(handins, grade, tmp_path, run_script, monkeypatch, files_below):
    add(handins, "PB1")
    grade()
    before, write = files_below(tmp_path / "out"), gradebook.files.write_text
    add(handins, "PB2", "raise")
    for name in ("gradebook.csv", "gradebook.json", "feedback.html"):

        def full(path, text, name=name):
            if path.name == name:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            write(path, text)

        with monkeypatch.context() as patch:
            patch.setattr(gradebook.files, "write_text", full)
            options = ["--dataset", "digits", "--resume", *UNSANDBOXED]
            done = run_script(grade_class, handins, "--out", tmp_path / "out", *options)
        assert (done.status, done.err.strip().count("\n")) == (2, 0), name
        assert "the disk is full" in done.err and name in done.err
        after = files_below(tmp_path / "out")
        assert set(after) >= set(before) - {"gradebook.json"} and ("gradebook.json" in after) == (name[0] == "f")
        assert after["records/PB1+Ann+LAB3.json"] == before["records/PB1+Ann+LAB3.json"]
    assert len(grade("--resume")) == 2


COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest itself may have been started with it ignored
sys.path[:0] = {paths!r}
import small_class
from hi_mnist import cli
from staff import grade_class
grade_class.grade_class.__defaults__ = (small_class.play,)
sys.argv += small_class.UNSANDBOXED
sys.exit(cli.run_script(lambda: grade_class.main(sys.argv[1:])))
"""


@pytest.fixture
def halfway(handins, tmp_path, standin):
    """``python -m staff.grade_class`` with ``play`` as the grader: of four hand-ins two are done and two wait."""
    gate = tmp_path / "gate"
    gate.mkdir()
    for i in range(4):
        add(handins, f"PB{i}", f"wait {gate}" if i > 1 else RIGHT)
    code = COMMAND.format(paths=[str(ROOT), str(ROOT / "tests")])
    line = [sys.executable, "-c", code, handins, "--out", tmp_path / "out", "--dataset", "digits", "--jobs", "2"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: len(list(tmp_path.glob("out/records/*.json"))) == len(list(gate.iterdir())) == 2)
    yield process, gate
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_class_goes_on_where_it_was_and_takes_its_workers_with_it(halfway, grade, tmp_path, how):
    process, gate = halfway
    if how == signal.SIGKILL:
        process.kill()  # this one process only
    else:
        os.killpg(process.pid, how)
    errors = process.communicate()[1]
    wait_until(lambda: not any(psutil.pid_exists(int(path.name)) for path in gate.iterdir()))
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/records/*.json")}
    assert len(kept) == 2
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "--resume" in errors and "Traceback" not in errors
        assert len(table(tmp_path / "out" / "gradebook.csv")) == 2
    (gate / "go").touch()
    grade_one.facts.cache_clear()  # as the command has them, though somebody edits the lab meanwhile
    assert len(grade("--resume")) == 4
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_worker_that_ends_costs_one_row_and_nothing_where_it_ends_once(handins, grade, tmp_path):
    mark = tmp_path / "mark"
    for i, word in enumerate((f"exit_once {mark}", f"exit {mark}", RIGHT)):  # the first one always ends by itself
        add(handins, f"PB{i}", word)
    rows = grade(jobs=2)
    assert statuses(rows) == ["OK", "REVIEW", "OK"]
    assert "its worker ended (TerminatedWorkerError)" in rows["PB1"]["note"]


# --------------------------------------------------------------------------- arguments


def test_wrong_arguments_and_no_bubblewrap_are_one_line(handins, grade, tmp_path, run_script, monkeypatch):
    out = ("--out", tmp_path / "out")

    def refused(cause: str, *arguments):
        done = run_script(grade_class, *arguments)
        assert (done.status, done.err.count("\n")) == (2, 1), arguments
        assert cause in done.err, arguments

    refused("no folder", tmp_path / "nowhere", *out)
    refused("no hand-in", handins, *out)
    add(handins, "PB1")
    refused("--out", handins, "--out", handins / "out")
    refused("jobs", handins, *out, "--jobs", 0)
    refused("seed", handins, *out, "--seed", -1)
    refused("no file", handins, *out, "--dataset", "digits", "--roster", tmp_path / "no.csv")
    refused("--help", handins)
    refused("no gradebook", "merge", "--out", tmp_path, "--marks", tmp_path / "marks.csv")
    monkeypatch.setenv(bubblewrap.OFF, "0")
    refused("--unsandboxed", handins, *out, "--dataset", "digits")
    assert not (tmp_path / "out").exists()
    assert statuses(grade("--unsandboxed")) == ["OK"]
    assert "Not enforced" in said(tmp_path / "out" / "summary.html")
    pytest.importorskip("distributed", reason="Dask is in requirements-extra.txt only")
    refused("no Dask cluster", handins, *out, "--resume", "--dataset", "digits", "--scheduler", "nonsense://")
    assert len(table(tmp_path / "out" / "gradebook.csv")) == 1  # as it was


# --------------------------------------------------------------------------- a cluster


@pytest.fixture
def cluster(standin, tmp_path, request):
    """A Dask scheduler and two workers on loopback, each in its own process: ``(address, workers)``.

    The parameter is ``--no-nanny`` or ``--nanny``, which restarts dead workers.
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
        worker = [*python, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", request.param]
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
    gate = tmp_path / "gate"
    gate.mkdir()
    for i in range(8):
        add(handins, f"PB{i}", f"wait {gate}" if i > 1 else RIGHT)

    def kill_one_in_the_middle():
        wait_until(lambda: len(list(gate.iterdir())) == 2)  # both work
        workers[0].kill()
        (gate / "go").touch()

    killer = threading.Thread(target=kill_one_in_the_middle)
    killer.start()
    rows = grade("--scheduler", address)
    killer.join()
    assert workers[0].poll() is not None
    assert list(rows) == [f"PB{i}" for i in range(8)]
    assert set(statuses(rows)) == {"OK"}
    assert rows == grade(out="here")


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["--nanny"], indirect=True)
def test_a_hand_in_that_kills_the_clusters_workers_costs_one_row(handins, grade, cluster):
    for i in range(4):
        add(handins, f"PB{i}", "exit" if i == 1 else RIGHT)
    rows = grade("--scheduler", cluster[0])
    assert statuses(rows) == ["OK", "REVIEW", "OK", "OK"]
