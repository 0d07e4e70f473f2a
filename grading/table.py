"""From a submission to its table of points: each question on the code in a fresh child, and how the result is shown."""

import platform
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

from grading import checks, sandbox

AUTO_POINTS = 70  # the report's 30 are given by hand
CODE_POINTS = sum(asked.points for asked in checks.QUESTIONS.values())
VERDICTS = {"timeout": "TIMEOUT", "memory": "MEMORY", "crash": "CRASH", "internal": "INTERNAL"}
HINTS = {
    "TIMEOUT": "replace loops over samples by matrix operations; look for a loop that never ends",
    "MEMORY": "an array with two sample axes, (N, N), is too large: keep to (N, K) and (N, D)",
    "CRASH": "the code must return to its caller: no exit(), no processes or threads of its own",
    "INTERNAL": "run it again; if it stays, tell the staff: this costs no points",
}


def check_code(
    source: bytes,
    *,
    only: list[str] | None = None,
    seed: int = 0,
    limits: sandbox.Limits | None = None,
    jobs: int = 2,
    questions: dict[str, checks.Question] | None = None,
    tasks: bytes | None = None,
) -> list[dict]:
    """Check a submission's code.

    Args:
        source: the bytes of submission.py.
        only: ids of the questions, None for all.
        seed: other seeds give other numbers; the same seed gives the same report.
        limits: of each child; ``sandbox.Limits()`` when None.
        jobs: how many children at a time.
        questions: those of another lab; the main lab's when None.
        tasks: that lab's part of the worker, a module with a dict ``TASKS``; it must know no answers.

    Returns:
        the entries of ``questions`` in grade.json, in the order of the questions.
    """
    questions = questions or checks.QUESTIONS
    names = [name for name in questions if only is None or name in only]

    def check(name: str) -> dict:
        inputs = checks.make_inputs(name, seed, questions)
        files = {"tasks.py": tasks} if tasks else None
        # Not the seed itself: with it, code could tell a student at home every number that it will be asked.
        settings = {"seed": zlib.crc32(f"{seed} {name}".encode())}
        outcome = sandbox.run(name, source, inputs, settings=settings, files=files, limits=limits or sandbox.Limits())
        if outcome.status == "done":
            try:
                return checks.score(name, inputs, outcome.arrays, questions)
            except Exception as error:  # an answer that our own code stumbles over costs its own question
                outcome = sandbox.Outcome("crash", cause=f"its answers cannot be judged ({type(error).__name__})")
        return unanswered(name, questions[name], outcome)

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        try:
            return list(pool.map(check, names))
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise


def unanswered(name: str, asked: checks.Question, outcome: sandbox.Outcome) -> dict:
    """The entry of a question whose child gave no answer."""
    entry = checks.question(name, asked.label, asked.points)
    if outcome.status == "raised":
        message, hint = explain_error(outcome.error)
        return entry | {"verdict": "ERROR", "message": message, "hint": hint}
    verdict = VERDICTS[outcome.status]
    return entry | {"verdict": verdict, "message": outcome.cause, "hint": HINTS[verdict]}


def explain_error(error: dict) -> tuple[str, str]:
    """Message and hint for an exception in the student's code, from what the child told of it."""
    kind, text = error["kind"], error["text"]
    where = f"submission.py, line {error['line']}" if error["line"] else "submission.py"
    if kind == "not_attempted":
        return f"not attempted: {where}: {text}", "fill in the region and run this again"
    if kind == "syntax":
        return f"{where}: syntax error: {text}", "Python cannot read the file: mend that line or the one before"
    if kind == "missing":
        return f"submission.py: {text}", "keep the names of classes, methods and functions as they came"
    message = f"{where}: {error['type']}: {text}" if text else f"{where}: {error['type']}"
    if kind == "import":
        return message, "use numpy, scipy, scikit-learn and Pillow only"
    trace = error["trace"].rstrip()
    if trace:
        message += f"\n{trace}"
    return message, "run the line that is named with small arrays and print their shapes"


def summary(questions: list[dict], auto_points: int = AUTO_POINTS) -> dict:
    """What every report holds besides its own: ``questions``, the points, the guards and the versions."""
    return {
        "questions": questions,
        "auto_score": round(sum(q["score"] for q in questions), 4),
        "auto_points": auto_points,
        "guards": sandbox.guards(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("numpy", "scikit-learn", "scipy")},
    }


def table(questions: list[dict]) -> str:
    """The table that a student reads: points, verdict and cause of each question, hints below."""
    lines = [f"{'question':<26}{'points':>12}   verdict"]
    for q in questions:
        points = "-" if q["verdict"] in ("SKIPPED", "INTERNAL") else f"{q['score']:.2f}"
        first, *more = q["message"].splitlines() or [""]
        lines.append(f"{q['label']:<26}{points:>7} /{q['points']:>3}   {q['verdict']}: {first}")
        lines += [f"{'':<41}{line}" for line in more]
        if q["hint"]:
            lines.append(f"{'':<41}hint: {q['hint']}")
    return "\n".join(lines)


def guard_lines(guards: list[str]) -> str:
    """What protected the grader while the student's code ran."""
    return "\n".join(["the code ran in processes of its own:", *(f"  {guard}" for guard in guards)])
