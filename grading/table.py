"""Show results: the table for students, and the parts that all reports share."""

import platform
from importlib.metadata import version

import sandbox

AUTO_POINTS = 70  # the other 30 are for the report, scored by hand


def summary(questions: list[dict], auto_points: int = AUTO_POINTS, limits: sandbox.Limits | None = None) -> dict:
    """The parts that all reports share: ``questions``, the points, the guards under ``limits`` and the versions."""
    packages = {name: version(name) for name in ("numpy", "scikit-learn", "scipy")}
    return {
        "questions": questions,
        "auto_score": round(sum(q["score"] for q in questions), 4),
        "auto_points": auto_points,
        "guards": sandbox.guards(limits),
        "versions": {"python": platform.python_version()} | packages,
    }


def table(questions: list[dict]) -> str:
    """The table for students: points, verdict and cause of each question, with hints below."""
    lines = [f"{'question':<26}{'points':>12}   verdict"]
    for q in questions:
        points = "-" if q["verdict"] in ("SKIPPED", "INTERNAL") else f"{q['score']:.2f}"
        first, *more = q["message"].splitlines() or [""]
        lines.append(f"{q['label']:<26}{points:>7} /{q['points']:>3}   {q['verdict']}: {first}")
        lines += [f"{'':<41}{line}" for line in more]
        if q["hint"]:
            lines.append(f"{'':<41}hint: {q['hint']}")
    return "\n".join(lines)


def whole(result: dict) -> str:
    """The table with the sum and the guards, from ``summary``."""
    total = f"{'sum':<26}{result['auto_score']:>7.2f} /{result['auto_points']:>3}"
    return f"{table(result['questions'])}\n{total}\n\n{guard_lines(result['guards'])}"


def guard_lines(guards: list[str]) -> str:
    """What protects the grader while a student's code runs."""
    return "\n".join(["student code runs in separate processes:", *(f"  {guard}" for guard in guards)])
