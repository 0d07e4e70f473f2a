"""Shared by tests of networks and companion labs: one thread, questions answered here, bad input in a loop."""

import pytest
import torch
from threadpoolctl import threadpool_limits

from grading import checks, worker


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads that share small arrays mostly wait for each other. A test module uses this fixture by importing it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


def scored(lab, name: str, code, seed: int = 0) -> dict:
    """The entry of a lab's question for some code: ``lab`` has its ``tasks`` and ``questions``."""
    questions = lab.questions.QUESTIONS
    inputs = checks.make_inputs(name, seed, questions)
    torch.manual_seed(0)
    answers = worker.answer(name, code, inputs, {"seed": seed}, lab.tasks.TASKS)
    return checks.score(name, inputs, answers, questions)


def check_refused(run_script, command, cases) -> None:
    """Each bad command line ends with status 2 and one line that names the cause."""
    for arguments, cause in cases:
        done = run_script(command, *(arguments.split() if isinstance(arguments, str) else arguments))
        assert (done.status, done.err.count("\n"), done.out) == (2, 1, ""), (arguments, done)
        assert cause in done.err, (arguments, done.err)
