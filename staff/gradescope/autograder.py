"""Grade one hand-in on Gradescope: /autograder/submission in, /autograder/results/results.json out.

    python -m staff.gradescope.autograder     what run_autograder calls

Gradescope runs us as root, so two processes share the work. The first keeps root, reads the key and the hand-in, and
writes results.json. The second grades as a separate user and answers through a pipe, so student code, which runs
below it, cannot write the results or the grading program. Its answer is checked before it is passed on.
"""

import argparse
import contextlib
import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hi_mnist.cli import LabError, make_parser, run_script
from hi_mnist.files import write_text
from hi_mnist.text import plain
from staff import archives
from staff.entries import for_student

SOURCE = Path(__file__).resolve().parents[2]
USER = 64_000  # an id that belongs to nobody
OUR_FAULT = (
    "Grading failed, and that is our fault, not yours. The 0 points shown do not judge your work. "
    "Please tell the course staff and ask for a rerun; your hand-in is stored."
)
TEXT = {"output_format": "text", "stdout_visibility": "hidden"}  # as in all results.json
FAILURE = {"score": 0, "output": OUR_FAULT, "tests": []} | TEXT  # when grading itself failed
PR_SET_DUMPABLE = 4  # of prctl


# --------------------------------------------------------------------------- the first process


def read(root: Path) -> tuple[bytes, list[str]]:
    """The submission.py in ``root``/submission, and further remarks on the hand-in. LabError if it has none to read."""
    found = archives.read(archives.Found(root / "submission", "hand-in", "nobody", ""))
    if found.refused:
        raise LabError(f"the hand-in was not read: {found.refused}")
    if found.source is None:
        (cause,) = [line for line in found.review if line.startswith("no submission.py")]
        raise LabError(f"the hand-in holds {cause}; hand in the file submission.py under this name")
    elsewhere = ("no results", "no report")  # they are handed in
    return found.source, [line for line in found.review + found.notes if not line.startswith(elsewhere)]


def run_second(source: bytes, settings: dict, user: int | None) -> dict:
    """Grade a submission in the second process, as ``user`` (None for our own); RuntimeError if there is no answer.

    The bundle's ``settings`` go through a pipe, because only root may read the file.
    """
    identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    environment = {key: os.environ[key] for key in ("PATH", "LANG", "LAB_BUBBLEWRAP") if key in os.environ}
    command = [sys.executable, "-B", "-m", "staff.gradescope.autograder", "--grade"]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "start_new_session": True} | identity
    with tempfile.TemporaryDirectory(prefix="hand-in-", ignore_cleanup_errors=True) as scratch:
        if user is not None:
            os.chown(scratch, user, user)
        environment |= dict.fromkeys(("HOME", "TMPDIR", "LAB_HOME"), scratch)
        process = subprocess.Popen(command, cwd=SOURCE, env=environment, **options)
        try:
            given = json.dumps(settings | {"source": source.decode("latin-1")})  # any bytes
            answer, _ = process.communicate(given.encode(), timeout=settings["timeout"])
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"no answer within {settings['timeout']} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"the grading process ended with status {process.returncode}")
    return json.loads(answer)


def results(report: dict, visibility: str) -> dict:
    """results.json from the second process's answer; ValueError if a number in it is invalid.

    ``report`` has ``questions`` as in grade.json, ``notes`` and ``guards``, lists of sentences.
    """
    tests, ours = [], []
    for question in report["questions"]:
        score, points = float(question["score"]), float(question["points"])
        if not 0 <= score <= points <= 100:
            raise ValueError(f"{question['label']}: {score} of {points} points")
        verdict = str(question["verdict"])
        lines = [f"{verdict}: {for_student(question['message'])}"]
        lines += [f"hint: {question['hint']}"] if question["hint"] else []
        if verdict == "INTERNAL":
            ours.append(str(question["label"]))
            score, lines = 0.0, [lines[0], OUR_FAULT]
        status = "passed" if verdict == "PASS" and score == points else "failed"
        test = {"name": plain(question["label"]), "score": round(score, 4), "max_score": points, "status": status}
        tests.append(test | {"output": plain("\n".join(lines)), "output_format": "text", "visibility": visibility})
    if not tests:
        raise ValueError("no question was graded")
    output = [f"Not graded: {', '.join(ours)}. {OUR_FAULT}"] if ours else []
    output += [str(line) for line in report["notes"]]
    output += ["How your code was run:", *(f"- {line}" for line in report["guards"])] if report["guards"] else []
    return {"output": plain("\n".join(output)), "tests": tests} | TEXT


def grade_hand_in(root: Path) -> dict:
    """results.json of the hand-in in ``root``/submission."""
    settings = json.loads((SOURCE / "settings.json").read_text(encoding="utf-8"))
    # LAB_OTHER_USER=0 is for trials in which the interpreter is in root's home.
    separate = os.geteuid() == 0 and os.environ.get("LAB_OTHER_USER") != "0"
    try:
        source, notes = read(root)
    except LabError as error:
        told = {"verdict": "ERROR", "message": str(error), "hint": ""}
        entry = {"label": "submission.py", "points": settings["points"], "score": 0} | told
        return results({"questions": [entry], "notes": [], "guards": []}, settings["visibility"])
    report = run_second(source, settings, USER if separate else None)
    own = "The code runs as a separate user, which cannot change the results or the grading program."
    report["guards"].append(own if separate else "Not enforced: the code runs as the same user as the grading program.")
    return results(report | {"notes": notes}, settings["visibility"])


# --------------------------------------------------------------------------- the second process


def grade(source: bytes, settings: dict) -> dict:
    """Grade a submission: ``questions`` as in grade.json, and ``guards``."""
    import sandbox
    from grading import checks  # only in the second process, which has no privileges to lose
    from labs import catalog

    lab, content = catalog.load(settings["lab"]), hashlib.sha256(source).hexdigest()
    # A rerun of the same file has the same numbers.
    questions = lab.check(source, seed=checks.secret_seeds(settings["key"], content, lab.questions))
    return {"questions": questions, "guards": sandbox.guards(lab.limits)}


def main(argv: list[str] | None = None) -> int:
    parser = make_parser("python -m staff.gradescope.autograder", "Grade one hand-in in Gradescope's container.")
    parser.add_argument("--grade", action="store_true", help=argparse.SUPPRESS)  # the second process
    if parser.parse_args(argv).grade:
        # Student code runs as our user, and must not read or change our memory.
        if sys.platform.startswith("linux"):
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        settings = json.load(sys.stdin)
        with os.fdopen(os.dup(1), "w") as answer:
            os.dup2(2, 1)  # output of libraries must not mix with the answer
            json.dump(grade(settings["source"].encode("latin-1"), settings), answer)
        return 0
    root = Path(os.environ.get("LAB_AUTOGRADER", "/autograder"))
    started = time.monotonic()
    try:
        answer = grade_hand_in(root)
    except Exception as error:  # whatever happens, the student must learn whose fault it is
        print(f"grading failed: {type(error).__name__}: {error}")  # staff read this on Gradescope
        answer = FAILURE
    answer = answer | {"execution_time": round(time.monotonic() - started, 1)}
    write_text(root / "results" / "results.json", json.dumps(answer, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_script(main))
