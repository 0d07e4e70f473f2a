"""The corpus: every hand-in gets exactly its verdict and points, and no trick gains any. See handins/README.md.

By default the right and the wrong cases are scored in one process, and a choice of all runs in children; ``-m slow``
runs every case in children, with one question more than it touches, and the hostile ones without bubblewrap too.
"""

import ast
import contextlib
import io
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import handins
import numpy as np
import psutil
import pytest
from handins import parameters
from PIL import Image

from grading import bubblewrap, checks, sandbox, table, worker
from hi_mnist import cli, runs
from hi_mnist.cli import LabError
from staff import archives, grade_one

# Small, so that no case has to take much to pass them.
LIMITS = sandbox.Limits(cpu_seconds=30, wall_seconds=90, memory=3 * 2**29, file_size=2**25, disk=2**26, processes=16)
SHORT = {"cpu_seconds": 6, "wall_seconds": 8}  # for cases that never end: the others must not fail on a busy machine
IN_CHILDREN = {
    "correct": [
        "s_changes_folder", "t_gbk_cookie", "w_base_class_and_dataclass"
    ],
    "wrong": [
        "e_matrix_of_pairs", "e_waits_for_input", "t_class_missing", "t_skeleton", "t_syntax_error"
    ],
    "hostile": [
        "disk_deep_folders", "error_with_escapes", "exit_before_ready_is_seen",
        "exit_segfault", "exit_sys", "forged_by_patched_worker", "forged_internal", "forged_pickle", "forged_pipe",
        "hang_busy_loop", "hang_signals_ignored", "left_daemon", "liar_subclass", "memory_bomb", "network",
        "outputs_elsewhere", "outside_delete", "outside_read", "patched_oracles", "print_forged_scores",
        "processes_bomb", "search_frames"
    ],
}  # fmt: skip
CHOSEN = {f"{family}/{name}" for family, chosen in IN_CHILDREN.items() for name in chosen}


def cases(*families: str, names: set[str] | None = None) -> list:
    chosen = [case for case in handins.every(*families) if names is None or case.name in names]
    return [pytest.param(case, id=case.name) for case in chosen]


def full(question: str) -> tuple[str, float]:
    return "PASS", handins.POINTS[question]


# --------------------------------------------------------------------------- how the corpus is written


def test_the_corpus_is_as_large_as_was_asked():
    counts = [len(handins.every(family)) for family in handins.FAMILIES]
    assert all(count >= least for count, least in zip(counts, (25, 25, 35), strict=True))
    assert {case.name for case in handins.every()} >= CHOSEN


@pytest.mark.parametrize("case", cases())
def test_a_case_is_well_formed(case):
    lost = {question for question, expected in case.expected.items() if expected != full(question)}
    assert case.about and len(case.about) < 130
    assert case.family != "correct" or not lost
    assert case.family != "wrong" or lost
    assert case.has_trick == (case.family == "hostile")
    for question, (verdict, points) in case.expected.items():
        assert 0 <= points <= handins.POINTS[question]
        assert verdict in ("PASS", "WRONG") or points == 0
    if case.family == "hostile":
        assert case.source(twin=True) != case.source()
        ast.parse(case.source(twin=True))


@pytest.mark.parametrize("case", cases("hostile"))
def test_a_hostile_case_is_bounded_by_itself(case):
    """Not a proof, but what is easily forgotten: loops and sleeps have an end, paths do not lead out."""
    text = "".join(case.sections.values())
    for word in ("while True", "time.sleep(9", 'rmtree("/', "0.0.0.0", "itertools.count", "os.kill(-", "getppid"):
        assert word not in text or case.name == "hostile/outputs_no_file_numbers"
    if "fork()" in text:
        assert "os._exit" in text


# --------------------------------------------------------------------------- scored in one process


def answered_here(source: bytes, question: str, folder: Path) -> tuple[str, float]:
    """Verdict and points of a harmless source, without a child."""
    inputs = checks.make_inputs(question, 0)
    settings, recursion = np.geterr(), sys.getrecursionlimit()
    with contextlib.chdir(folder), warnings.catch_warnings(), contextlib.ExitStack() as silent:
        warnings.simplefilter("ignore")
        silent.enter_context(contextlib.redirect_stdout(io.StringIO()))
        silent.enter_context(contextlib.redirect_stderr(io.StringIO()))
        try:
            answers = worker.answer(question, worker.load(source), inputs, {})
        except Exception:
            return "ERROR", 0.0
        finally:
            np.seterr(**settings)
            sys.setrecursionlimit(recursion)
    result = checks.score(question, inputs, answers)
    return result["verdict"], result["score"]


@pytest.mark.parametrize("case", cases("correct", "wrong"))
def test_right_and_wrong_code_gets_its_points(case, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(sys, "breakpointhook", lambda: exec("raise EOFError"))
    for question in case.touched:
        if case.expected[question][0] in ("TIMEOUT", "MEMORY"):
            continue  # in children only
        if question == "sample_from_gmm" and handins.REGIONS[question] not in case.sections and len(case.touched) > 1:
            continue  # 400 draws by the solution: in the slow test
        assert answered_here(case.source(), question, tmp_path) == case.expected[question], question


@pytest.mark.parametrize("case", cases("hostile"))
def test_no_trick_expects_more_than_its_honest_twin(case, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for question, (_, points) in case.expected.items():
        region = handins.REGIONS[question]
        twin_is_the_solution = "whole" not in case.sections and region not in case.sections
        if points and not twin_is_the_solution:
            assert points <= answered_here(case.source(twin=True), question, tmp_path)[1], question


# --------------------------------------------------------------------------- run in children


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """The folder in which the children's boxes are made."""
    folder = tmp_path_factory.mktemp("boxes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("CORPUS_SECRET", "what a child must not see")
        yield folder


OTHER_HAND_IN = """
from scipy.special import softmax
from scipy.stats import multivariate_normal

def e_step(X, means, covs, pi):
    logs = [np.log(p) + multivariate_normal(m, c).logpdf(X) for p, m, c in zip(pi, means, covs)]
    return softmax(np.reshape(logs, (len(pi), -1)).T, axis=1)
"""


@pytest.fixture(scope="module")
def outside(tmp_path_factory) -> Path:
    """A folder that no hand-in has any business in."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "other_hand_in.py").write_text(OTHER_HAND_IN)
    Image.fromarray(np.arange(784).reshape(28, 28).astype(np.uint8)).save(folder / "picture.png")
    np.save(folder / "answer.npy", np.full((3, 2), 0.5))
    return folder


class Server(threading.Thread):
    """Answers on the loopback address and counts who asked."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.asked = 0

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.asked += 1
                with connection:
                    connection.sendall(b"it is all ones")


@pytest.fixture(scope="module")
def server():
    server = Server()
    server.start()
    yield server
    server.listener.close()


class Judge:
    """Runs cases in children, two at a time: a test waits for its own case while the next ones run."""

    def __init__(self, outside: Path, port: int):
        self.places = {"outside": outside, "port": port}
        self.pool = ThreadPoolExecutor(2)
        self.begun = {}

    def begin(self, case: handins.Case, questions: list[str]):
        if (case.name, *questions) not in self.begun:
            self.begun[(case.name, *questions)] = self.pool.submit(self.judge, case, questions)
        return self.begun[(case.name, *questions)]

    def judge(self, case: handins.Case, questions: list[str], jobs: int = 1) -> list[dict]:
        times = SHORT if any(verdict == "TIMEOUT" for verdict, _ in case.expected.values()) else {}
        limits = sandbox.Limits(**LIMITS.__dict__ | times)
        return table.check_code(case.source(**self.places), only=questions, limits=limits, jobs=jobs)


@pytest.fixture(scope="module")
def judge(boxes, outside, server):
    judge = Judge(outside, server.port)
    yield judge
    judge.pool.shutdown(cancel_futures=True)


def skip_where_it_cannot_hold(case: handins.Case):
    if case.family == "hostile" and not sys.platform.startswith("linux"):
        pytest.skip("what other systems enforce is said in docs/staff.md")
    if case.needs == "bubblewrap" and bubblewrap.unavailable():
        pytest.skip(f"bubblewrap {bubblewrap.unavailable()}")
    if case.needs == "no privileges" and os.geteuid() == 0:
        pytest.skip("root may read and change everything")


def one_question(case: handins.Case) -> list[str]:
    """A question that the case loses points in, or one that it touches."""
    return sorted(case.touched, key=lambda question: case.expected[question] == full(question))[:1]


def one_more_question(case: handins.Case) -> list[str]:
    """What the case touches, and another question, to which it must make no difference."""
    others = [question for question in handins.POINTS if question not in case.touched]
    return [*case.touched, *others[:1]]


def assert_judged(case: handins.Case, results: list[dict]):
    for result in results:
        got = result["verdict"], result["score"]
        assert got == case.expected[result["id"]], f"{result['id']}: {result['message']}"
        shown = result["message"] + result["hint"]
        assert len(shown) < 8000
        assert shown.isprintable() or all(c.isprintable() or c == "\n" for c in shown), "a terminal would obey it"
        shown.encode("utf-8")
        assert bool(result["message"])
        assert bool(result["hint"]) or result["verdict"] == "PASS" or result["message"].count("\n")


@pytest.fixture
def nothing_harmed(outside, boxes, server, files_below):
    """What lies outside stays as it is, nobody uses the network, and neither folders nor processes are left."""
    before = files_below(outside)
    yield
    assert files_below(outside) == before
    assert not (outside / "trapped").exists()
    assert server.asked == 0


@pytest.fixture(scope="module")
def nothing_left(boxes):
    """When all have run, no box and no process of one is left."""
    yield
    deadline = time.monotonic() + 2
    while (left := processes_in(boxes)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    assert not list(boxes.iterdir())


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


@pytest.mark.parametrize("case", cases(names=CHOSEN))
def test_in_children(case, judge, nothing_harmed, nothing_left, request):
    skip_where_it_cannot_hold(case)
    for item in request.session.items:  # the next ones run while this one waits
        if getattr(item, "originalname", "") == "test_in_children":
            judge.begin(item.callspec.params["case"], one_question(item.callspec.params["case"]))
    assert_judged(case, judge.begin(case, one_question(case)).result())


@pytest.mark.slow
@pytest.mark.parametrize("case", cases())
def test_in_children_in_full(case, judge, nothing_harmed, nothing_left):
    skip_where_it_cannot_hold(case)
    assert_judged(case, judge.judge(case, one_more_question(case), jobs=2))


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("hostile"))
def test_in_children_without_bubblewrap(case, judge, nothing_harmed, nothing_left, monkeypatch):
    monkeypatch.setenv("LAB_BUBBLEWRAP", "0")
    skip_where_it_cannot_hold(case)
    assert_judged(case, judge.judge(case, case.touched, jobs=2))


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
        settings = grade_one.Settings(0, rerun, "digits", *grade_one.facts("digits"))
        (found,), _ = archives.find(handin.parent)
        read = archives.read(found)
        record = grade_one.empty_record(read, None, settings)
        results = grade_one.grade_run(read, None, settings, record)
        for result in results:
            assert "\n" not in result["message"] and len(result["message"]) < 1500
        assert not list(tmp_path.rglob("trapped"))
        return {result["id"]: (result["verdict"], result["score"]) for result in results}

    return grade


def damaged_runs() -> list:
    return [pytest.param(damage, id=damage.name) for damage in parameters.DAMAGES]


@pytest.mark.parametrize("damage", damaged_runs())
def test_a_damaged_run_gets_its_verdict(damage, graded_run):
    graded = graded_run(damage, rerun=False)
    verdict, points = graded["performance"]
    assert verdict == damage.performance
    assert (points > 0) == (verdict == "PASS")
    assert graded["sample_index"] == (damage.sample_index, 5 if damage.sample_index == "PASS" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("damage", damaged_runs())
def test_a_run_that_was_not_trained_so_is_reviewed(damage, graded_run):
    verdict, points = graded_run(damage, rerun=True)["performance"]
    assert verdict == damage.rerun
    assert (points > 0) == (verdict == "PASS")


@pytest.mark.parametrize("damage", damaged_runs())
def test_a_damaged_run_loads_soundly_or_is_refused_in_one_line(damage, run_folder):
    damage.apply(run_folder)
    try:
        run = runs.load_run(run_folder)
    except LabError as error:
        assert "\n" not in cli.explain(error)
    else:
        assert damage.performance != "ERROR" or run.config.dataset != "digits"
        assert np.isfinite(runs.mixture(run).means_).all()
    assert not (run_folder.parent / "trapped").exists()
