"""The questions on the code as tests of the ``submission.py`` one folder up.

    python -m pytest tests/test_submission.py       all four
    python -m pytest -m e_step                      one: e_step, m_step, pca_fit or sample_from_gmm

A test passes at full points. One that fails shows what ``python -m grading submission.py`` shows: the points, the cause
and a hint.
"""

from pathlib import Path

import pytest

from grading import checks

SUBMISSION = Path(__file__).resolve().parent.parent / "submission.py"


@pytest.mark.parametrize(
    "task", [pytest.param(task, marks=getattr(pytest.mark, task), id=task) for task in checks.QUESTIONS]
)
def test_task(task):
    (result,) = checks.check_code(SUBMISSION.read_bytes(), only=[task], jobs=1)
    if result["verdict"] != "PASS":
        points = f"{result['score']:g} of {result['points']} points"
        hint = f"\nhint: {result['hint']}" if result["hint"] else ""
        # No traceback of this file: the message names the line of submission.py.
        pytest.fail(f"{result['label']}: {points}: {result['verdict']}: {result['message']}{hint}", pytrace=False)
