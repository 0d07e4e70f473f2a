"""Shared by tests of networks and companion labs: one thread, questions answered here, bad input in a loop."""

import types

import pytest
import torch
from threadpoolctl import threadpool_limits

from grading import checks
from hi_mnist import data
from sandbox import worker


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads that share small arrays mostly wait for each other. A test module uses this fixture by importing it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


def execute(path, folder, monkeypatch, change=lambda cells: None):
    """Run a notebook in a folder, after ``change`` of its cells: all outputs. Raises where a cell does."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("IPYTHONDIR", str(data.prepared_dir("digits").parent / "ipython"))
    book = nbformat.read(path, as_version=4)
    change(book.cells)
    limits, where = {"timeout": 600, "startup_timeout": 300}, {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(book, resources=where, **limits).execute()
    return [output for cell in book.cells for output in cell.get("outputs", [])]


def scored(lab, name: str, code=None, seed: int = 0, **changed) -> dict:
    """The entry of a lab's question for some code, else for the solved submission with some of its names replaced."""
    code = code or types.SimpleNamespace(**vars(lab.submission) | changed)
    questions = lab.questions.QUESTIONS
    inputs = checks.make_inputs(name, seed, questions)
    torch.manual_seed(0)
    answers = worker.answer(name, code, inputs, {"seed": seed}, lab.tasks.TASKS)
    return checks.score(name, inputs, answers, questions)


def check_solution(lab, seeds: int = 1) -> None:
    """The solved submission has all points."""
    for name, asked in lab.questions.QUESTIONS.items():
        for seed in range(seeds):
            entry = scored(lab, name, seed=seed)
            assert (entry["verdict"], entry["score"]) == ("PASS", asked.points), entry


def check_mistakes(lab, cases) -> None:
    """Each name of the submission replaced by something wrong costs its part, and the message says a word."""
    for name, wrong, points, word in cases:
        entry = scored(lab, name.lower(), **{name: wrong})
        assert (entry["verdict"], entry["score"]) == ("WRONG", points), (points, word, entry)
        assert word in entry["message"] and entry["hint"], (points, word, entry)


def check_right(lab, cases) -> None:
    """The solution gets all points, and so does each other way to write a name of the submission."""
    check_solution(lab, seeds=2)
    for name, right in cases:
        entry = scored(lab, name.lower(), **{name: right})
        assert entry["verdict"] == "PASS", entry


def check_refused(run_script, command, cases, flags: str = "") -> None:
    """Each bad command line ends with status 2 and one line that names the cause; for each in ``flags`` its flag."""
    for arguments, cause in [*cases, *((flag, flag.split()[0].strip("-")) for flag in flags.split(", ") if flag)]:
        done = run_script(command, *(arguments.split() if isinstance(arguments, str) else arguments))
        assert (done.status, done.err.count("\n"), done.out) == (2, 1, ""), (arguments, done)
        assert cause in done.err, (arguments, done.err)
