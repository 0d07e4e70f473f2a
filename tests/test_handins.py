"""The corpus: every hand-in gets exactly its verdict and points, and no trick pays. See handins/README.md.

By default the right and the wrong cases are scored in one process, and a choice of the others in children; ``-m slow``
runs every case in children, with one question more than it touches, and the hostile ones without bubblewrap too.
"""

import ast
import contextlib
import os
import shutil
import socket
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import handins
import numpy as np
import psutil
import pytest
from handins import parameters
from PIL import Image

import sandbox
from grading import checks
from hi_mnist import cli, runs
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from sandbox import bubblewrap
from staff import archives, grade_one

pytestmark = [pytest.mark.xdist_group("sandbox"), pytest.mark.usefixtures("one_blas_thread")]
# Small, so that a case needs little to exceed them.
LIMITS = sandbox.Limits(cpu_seconds=30, memory=3 * 2**29, file_size=2**25, tasks=16)
SHORT = {"cpu_seconds": 1}  # for cases that never end: other cases must not fail on a busy machine
# What only a child shows, one of each kind; test_sandbox.py has its own workers to test the limits.
IN_CHILDREN = [
    "wrong/e_matrix_of_pairs", "wrong/t_skeleton",
    "hostile/disk_for_the_next", "hostile/error_with_escapes", "hostile/exit_sys", "hostile/exit_with_its_parent",
    "hostile/forged_by_patched_worker", "hostile/forged_pickle", "hostile/hang_busy_loop", "hostile/kernel_calls",
    "hostile/kernel_files", "hostile/kernel_threads", "hostile/liar_subclass", "hostile/network",
    "hostile/outside_write", "hostile/patched_oracles", "hostile/print_forged_scores",
    "hostile/search_frames",
]  # fmt: skip
FILES = [(family, path.stem) for family in handins.FAMILIES for path in sorted((handins.HERE / family).glob("*.py"))]
HARMLESS = [(family, stem) for family, stem in FILES if family != "hostile"]


def cases(family: str, stem: str) -> list[handins.Case]:
    return handins.read(handins.HERE / family / f"{stem}.py")


def full(question: str) -> tuple[str, float]:
    return "PASS", handins.POINTS[question]


# --------------------------------------------------------------------------- how the corpus is written


def test_the_corpus_is_as_large_as_was_asked_and_well_formed():
    names = [case.name for case in handins.every()]
    assert len(set(names)) == len(names)
    assert set(names) >= set(IN_CHILDREN)
    counts = [len(handins.every(family)) for family in handins.FAMILIES]
    assert all(count >= least for count, least in zip(counts, (50, 70, 70), strict=True))
    assert sum(bool(case.says) for case in handins.every("wrong")) >= 60
    for case in handins.every():
        lost = {question for question, expected in case.expected.items() if expected != full(question)}
        assert case.family != "correct" or not lost, case.name
        assert case.family != "wrong" or lost, case.name
        for question, (verdict, points) in case.expected.items():
            assert 0 <= points <= handins.POINTS[question], case.name
            assert verdict in ("PASS", "WRONG", "ERROR") or points == 0, case.name


def test_a_hostile_case_has_a_twin_and_is_bounded_by_itself():
    """Not a proof, but a check of what is easily forgotten: loops and sleeps end, paths stay inside."""
    for case in handins.every("hostile"):
        assert case.source(twin=True) != case.source(), case.name
        ast.parse(case.source(twin=True))
        text = "".join(case.sections.values())
        for word in ("while True", "time.sleep(9", 'rmtree("/', "0.0.0.0", "itertools.count", "os.kill(-", "getppid"):
            assert word not in text or case.name == "hostile/exit_with_its_parent", case.name
        assert "fork()" not in text or "os._exit" in text, case.name


# --------------------------------------------------------------------------- scored in one process


@pytest.mark.parametrize(("family", "stem"), HARMLESS)
def test_right_and_wrong_code_gets_its_points(family, stem, tmp_path):
    got, wanted = {}, {}
    for case in cases(family, stem):
        for question in case.touched:
            if case.expected[question][0] in ("TIMEOUT", "MEMORY"):
                continue  # in children only
            if question == "sample_from_gmm" and not {handins.REGIONS[question], "whole"} & set(case.sections):
                continue  # hundreds of draws by the solution: in the slow test
            entry = handins.answered(case.source(), question, tmp_path)
            got[case.name, question] = entry["verdict"], entry["score"]
            wanted[case.name, question] = case.expected[question]
            if case.says and (entry["verdict"] != "PASS" or family == "correct"):
                told = f"{entry['label']}: {entry['message']} {entry['hint']}"
                assert all(word in told for word in case.says), (case.name, told)
    assert got == wanted


def test_no_trick_expects_more_than_its_honest_twin(tmp_path):
    for case in handins.every("hostile"):
        for question, (_, points) in case.expected.items():
            if points and ("whole" in case.sections or handins.REGIONS[question] in case.sections):
                twin = handins.answered(case.source(twin=True), question, tmp_path)
                assert points <= twin["score"], case.name


# --------------------------------------------------------------------------- run in children

OTHER_HAND_IN = """
from scipy.special import softmax
from scipy.stats import multivariate_normal

def e_step(X, means, covs, pi):
    logs = [np.log(p) + multivariate_normal(m, c).logpdf(X) for p, m, c in zip(pi, means, covs)]
    return softmax(np.reshape(logs, (len(pi), -1)).T, axis=1)
"""


@pytest.fixture
def judge(tmp_path, monkeypatch, files_below):
    """``judge(cases, questions)`` runs cases in children, two at a time, and looks at what they got and left.

    What lies outside stays as it is, nobody uses the network, and neither folders nor processes are left.
    """
    boxes, outside = tmp_path / "boxes", tmp_path / "outside"
    boxes.mkdir()
    outside.mkdir()
    (outside / "other_hand_in.py").write_text(OTHER_HAND_IN)
    Image.fromarray(np.arange(784).reshape(28, 28).astype(np.uint8)).save(outside / "picture.png")
    np.save(outside / "answer.npy", np.full((3, 2), 0.5))
    monkeypatch.setattr(tempfile, "tempdir", str(boxes))
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)

    def judge_one(case: handins.Case, questions: list[str]) -> list[dict]:
        times = SHORT if any(verdict == "TIMEOUT" for verdict, _ in case.expected.values()) else {}
        limits = sandbox.Limits(**LIMITS.__dict__ | times)
        source = case.source(outside=outside, port=server.getsockname()[1])
        return checks.check_code(source, only=questions, limits=limits, jobs=1)

    def judge_all(cases, questions) -> None:
        before = files_below(outside)
        able = [case for case in cases if can_hold(case)]
        with ThreadPoolExecutor(2) as pool:
            judged = list(zip(able, pool.map(judge_one, able, map(questions, able)), strict=True))
        results = [(case, result) for case, of_case in judged for result in of_case]
        got = {(case.name, result["id"]): (result["verdict"], result["score"]) for case, result in results}
        assert got == {(case.name, result["id"]): case.expected[result["id"]] for case, result in results}
        for _, result in results:
            assert_shown_safely(result)
        assert files_below(outside) == before
        with pytest.raises(BlockingIOError):  # nobody has connected
            server.accept()
        assert not processes_in(boxes)
        assert not list(boxes.iterdir())

    with server:
        yield judge_all


def can_hold(case: handins.Case) -> bool:
    """docs/staff_reference.md says what is enforced on systems other than Linux."""
    return not (
        (case.family == "hostile" and not sys.platform.startswith("linux"))
        or (case.needs == "bubblewrap" and bubblewrap.unavailable())
    )


def assert_shown_safely(result: dict) -> None:
    shown = result["message"] + result["hint"]
    assert len(shown) < 8000
    assert all(c.isprintable() or c == "\n" for c in shown), "a terminal would obey it"
    shown.encode("utf-8")
    assert result["message"]
    assert result["hint"] or result["verdict"] == "PASS" or result["message"].count("\n")


def processes_in(folder: Path) -> list[str]:
    """Command lines of processes that work in a folder, name it, or call themselves left behind."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            line = " ".join(process.cmdline())
            if process.pid != os.getpid() and (
                str(folder) in line or "left behind by the corpus" in line or process.cwd().startswith(str(folder))
            ):
                found.append(line)
    return found


def one_question(case: handins.Case) -> list[str]:
    """A question in which the case loses points, or one that it touches."""
    return sorted(case.touched, key=lambda question: case.expected[question] == full(question))[:1]


def one_more_question(case: handins.Case) -> list[str]:
    """The questions that the case touches, and one that it must not affect."""
    others = [question for question in handins.POINTS if question not in case.touched]
    return [*case.touched, *others[:1]]


def test_a_choice_in_children(judge):
    judge([handins.find(name) for name in IN_CHILDREN], one_question)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "stem"), FILES)
def test_in_children_in_full(family, stem, judge):
    judge(cases(family, stem), one_more_question)


@pytest.mark.slow
@pytest.mark.parametrize("stem", [stem for family, stem in FILES if family == "hostile"])
def test_in_children_without_bubblewrap(stem, judge, monkeypatch):
    monkeypatch.setenv(bubblewrap.OFF, "0")
    judge(cases("hostile", stem), lambda case: case.touched)


def test_points_beside_an_exception_come_through_the_sandbox():
    case = handins.find("wrong/m_row_division")
    (entry,) = checks.check_code(case.source(), only=["m_step"])
    assert (entry["verdict"], entry["score"]) == case.expected["m_step"], entry
    assert all(words in entry["message"] + entry["hint"] for words in case.says), entry


# --------------------------------------------------------------------------- damaged runs


@pytest.fixture
def graded_run(trained_run, tmp_path, standin):
    """Spoil a hand-in's run and grade it as the class is graded: (verdict, points) of both questions on it."""
    handin = tmp_path / "class" / "PB1+Ann+LAB3"
    run = handin / "results" / "2026-01-31_09-30-00"
    shutil.copytree(trained_run, run)
    shutil.copy(handins.SOLVED, handin)

    def grade(damage: parameters.Damage, rerun: bool) -> dict[str, tuple[str, float]]:
        damage.apply(run)
        settings = grade_one.Settings("key", rerun, "digits", *grade_one.facts("digits"))
        (found,), _ = archives.find(handin.parent)
        read = archives.read(found)
        record = grade_one.empty_record(read, settings)
        results = grade_one.grade_run(read, settings, record)
        if rerun and record["db"] is not None:
            with sandbox.Box(read.source) as box:
                results[1] = grade_one.reproduced(results[1], read, [], record, box)
        for result in results:
            assert "\n" not in result["message"] and len(result["message"]) < 1500
        assert_loads_or_is_refused(damage, run)
        assert not list(tmp_path.rglob("trapped"))
        return {result["id"]: (result["verdict"], result["score"]) for result in results}

    return grade


def assert_loads_or_is_refused(damage: parameters.Damage, run: Path) -> None:
    """The student's own scripts load the run correctly, or refuse it in one line."""
    try:
        loaded = runs.load_run(run)
    except LabError as error:
        assert "\n" not in cli.explain(error)
    else:
        assert damage.performance != "ERROR" or loaded.config.dataset != "digits"
        assert np.isfinite(runs.mixture(loaded).means_).all()


each_damage = pytest.mark.parametrize("damage", parameters.DAMAGES, ids=lambda damage: damage.name)


@each_damage
def test_a_damaged_run_gets_its_verdict(damage, graded_run):
    graded = graded_run(damage, rerun=False)
    verdict, points = graded["performance"]
    assert verdict == damage.performance
    assert (points > 0) == (verdict == "PASS")
    assert graded["sample_index"] == (damage.sample_index, 5 if damage.sample_index == "PASS" else 0)


@pytest.mark.slow
@each_damage
def test_a_run_that_was_not_trained_so_is_reviewed(damage, graded_run):
    verdict, points = graded_run(damage, rerun=True)["performance"]
    assert verdict == damage.rerun
    assert (points > 0) == (verdict == "PASS")


def test_code_that_works_in_its_own_folder_or_in_another_one_is_right():
    head = (
        b"import os, sys\nassert sys.argv == ['submission.py']\nos.chdir(os.path.dirname(__file__))\n"
        b"os.makedirs('elsewhere', exist_ok=True)\nos.chdir('elsewhere')\n"
    )
    source = head + (ROOT / "submission.py").read_bytes()
    (entry,) = checks.check_code(source, only=["sample_from_gmm"])
    assert (entry["verdict"], entry["score"]) == ("PASS", 7), entry
