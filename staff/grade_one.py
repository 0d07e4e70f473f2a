"""Grade one hand-in: a pure function of its bytes and the class's settings, on any process or machine.

The code is checked in children (``grading.checks``), the run is scored by its saved parameters, never by the
student's ``predict``, and its Performance is reproduced (``staff.rerun``). Nothing here runs or imports student code.
"""

import ast
import dataclasses
import functools
import hashlib
import io
import json
import re
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

import sandbox
from grading import checks, scores, table
from grading.questions.common import Question
from hi_mnist import data, files, prepare, runs, scatter
from hi_mnist.cli import LabError, no_resources
from hi_mnist.data import DATASETS
from hi_mnist.files import ROOT
from hi_mnist.runs import SavedRun, TrainConfig
from hi_mnist.text import listed, one_line
from labs import catalog
from staff import archives, gradebook, handout, rerun, similar, thumbnails
from staff.entries import FOR_STAFF
from staff.gradebook import RUN_QUESTIONS

# Records depend on them as well.
OF_STAFF = ("archives", "entries", "fingerprint", "grade_one", "refit", "rerun", "similar", "thumbnails")
LARGEST_K = 100  # more takes minutes; the lab uses 10
VARIANTS = ("id", "class")  # the numbers differ by student, or all have the same
LARGEST_DIM = 128  # above this the baseline takes minutes, and no reproduction ends in time
STEPS = ("e_step", "m_step")  # what a run is made by


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a whole class; a record made under other settings is not reused."""

    key: str  # secret; this and the variant, one of ``VARIANTS``, make the numbers of the questions on the code
    rerun: bool  # whether Performance is reproduced
    dataset: str
    data: str  # hashes of the images, which only the main lab has,
    code: str  # and of the grading program: workers elsewhere must have the same
    lab: str = catalog.MAIN
    variant: str = "id"


images = functools.cache(data.load_data_set)  # the class's images, read once per process


@functools.cache
def facts(dataset: str, lab: str = catalog.MAIN) -> tuple[str, str]:
    """Hashes of the images (empty for a companion lab) and of the grading program as this process has them."""
    digest, its_own = hashlib.sha256(), [] if lab == catalog.MAIN else [f"labs/{lab}/*.py"]
    for name in handout.find(handout.GRADING_FILES + its_own) + [f"staff/{name}.py" for name in OF_STAFF]:
        digest.update(name.encode() + (ROOT / name).read_bytes())
    if lab != catalog.MAIN:
        return "", digest.hexdigest()
    prepare.ensure(dataset)
    return files.data_hash(*images(dataset)), digest.hexdigest()


def seeds(key: str, variant: str, whose: str, lab: catalog.Lab) -> dict[str, int]:
    """The seeds of the questions on a student's code; ``whose`` is the id, or the hand-in's name without one."""
    return checks.secret_seeds(key, whose if variant == "id" else "", lab.questions)


# --------------------------------------------------------------------------- the record


def grade_one(handin: archives.HandIn, settings: Settings) -> dict:
    """The record of a hand-in, whatever is in it."""
    record, lab = empty_record(handin, settings), catalog.load(settings.lab)
    # One BLAS thread everywhere: another number of threads would change the last digits of sums.
    with threadpool_limits(limits=1), sandbox.Box(handin.source or b"", lab.tasks) as box:
        if handin.refused:
            record["questions"] = entries(gradebook.questions(settings.lab), "REVIEW", handin.refused)
            record["review"].insert(0, handin.refused)
            return record
        if (settings.data, settings.code) != facts(settings.dataset, settings.lab):
            raise RuntimeError("this worker has other images or another version of the lab")
        # The run first, so that the data it is measured by are read before any student code runs.
        has_run = settings.lab == catalog.MAIN
        run = guarded(RUN_QUESTIONS, lambda: grade_run(handin, settings, record)) if has_run else []
        code = guarded(lab.questions, lambda: grade_code(handin, settings, record, box))
        if settings.rerun and record["db"] is not None:
            asked = {"performance": RUN_QUESTIONS["performance"]}
            run[1:] = guarded(asked, lambda: [reproduced(run[1], handin, code, record, box)])
        record["seconds"] = {name: round(box.seconds[name], 2) for name in lab.questions if name in box.seconds}
        record["files"] = {"submission.py": handin.source} if handin.source else {}
        if handin.pictures:
            record["files"] |= pictures(handin, box)
    summary = table.summary([*code, *run], limits=lab.limits)
    return record | {name: summary[name] for name in ("questions", "guards", "versions")}


def empty_record(handin: archives.HandIn, settings: Settings) -> dict:
    """A record without verdicts: all its keys. ``files``, bytes by name, are kept beside it (``save_record``)."""
    given = {name: getattr(handin, name) for name in ("hand_in", "student_id", "name", "run")}
    given |= {"digest": handin.digest(), "review": list(handin.review), "notes": list(handin.notes)}
    given |= {"settings": made_under(settings), "dataset": settings.dataset}
    nothing = dict.fromkeys((*scores.FIGURES, "sample_index", "config", "reproduced"))
    empty = {"questions": [], "guards": [], "versions": {}, "signature": [], "fingerprint": {}, "seconds": {}}
    return given | nothing | empty | {"files": {}}


def made_under(settings: Settings) -> dict:
    """What determines a record, together with the hand-in."""
    return dataclasses.asdict(settings) | {"key": key_name(settings.key)}


def key_name(key: str) -> str:
    """What stands for a key in records, which do not tell it."""
    return hashlib.sha256(f"name of the key {key}".encode()).hexdigest()[:16]


def internal_record(one: archives.Found | archives.HandIn, settings: Settings, cause: str) -> dict:
    """The record of a hand-in that could not be graded because grading itself failed."""
    handin = archives.HandIn(one.hand_in, one.student_id, one.name, lab=one.lab)
    told = {"questions": entries(gradebook.questions(settings.lab), "INTERNAL", cause)}
    return empty_record(handin, settings) | told


def entries(asked: dict[str, Question], verdict: str, message: str, hint: str = "") -> list[dict]:
    """Entries of ``questions`` that all say the same."""
    told = {"verdict": verdict, "message": message, "hint": hint}
    return [checks.question(name, q.label, q.points) | told for name, q in asked.items()]


def guarded(asked: dict[str, Question], grade: Callable[[], list[dict]]) -> list[dict]:
    """The entries from ``grade``; INTERNAL ones if it fails, because its faults are ours."""
    try:
        return grade()
    except Exception as error:
        return entries(asked, "INTERNAL", fault(error))


def fault(error: BaseException) -> str:
    """One line for an exception in our own code."""
    where = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({Path(where[0].filename).name}, line {where[0].lineno})" if where else ""
    return f"a fault of the grading program: {type(error).__name__}: {one_line(error)}{place}"


def pictures(handin: archives.HandIn, box: sandbox.Box) -> dict[str, bytes]:
    """The pictures of the hand-in's run, made small in the sandbox, as WebP files by name."""
    given = {"tasks.py": (ROOT / "staff/thumbnails.py").read_bytes()}
    made = {}
    for name, array in box.run("thumbnails", {}, files=given | handin.pictures).arrays.items():
        right = array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3 and array.size
        if right and name in handin.pictures and max(array.shape) <= thumbnails.SIDE:
            buffer, options = io.BytesIO(), {"lossless": max(array.shape) <= 28, "quality": 82, "method": 2}
            scatter.cut(Image.fromarray(array)).save(buffer, "WEBP", **options)
            made[f"{name}.webp"] = buffer.getvalue()
    return made


# --------------------------------------------------------------------------- its code


def grade_code(handin: archives.HandIn, settings: Settings, record: dict, box: sandbox.Box) -> list[dict]:
    """Grade the questions on the code; puts its fingerprint into the record."""
    lab = catalog.load(settings.lab)
    if handin.source is None:
        hint = "hand in the file submission.py itself"
        return entries(lab.questions, "ERROR", "the hand-in has no submission.py", hint)
    if changed := differing(handin.source, lab):
        told = f"submission.py differs from the handout in {listed(changed)}; it was graded as handed in"
        record["notes"].append(told)
    seed = seeds(settings.key, settings.variant, handin.student_id or handin.hand_in, lab)
    questions = lab.check(handin.source, seed=seed, jobs=1, box=box)
    record["fingerprint"] = similar.hashes(box)
    return questions


@functools.cache
def given(source: str) -> dict[str, str]:
    """The given functions of the students' copy of ``source`` by name: their code without docstrings, squeezed."""
    text, found = handout.student_copy(source)[0].decode(), {}
    for owner in [tree := ast.parse(text), *(node for node in tree.body if isinstance(node, ast.ClassDef))]:
        for node in (node for node in owner.body if isinstance(node, ast.FunctionDef)):
            code = text.splitlines()[node.body[bool(ast.get_docstring(node))].lineno - 1 : node.end_lineno]
            found[f"{getattr(owner, 'name', '')}.{node.name}".lstrip(".")] = squeezed("\n".join(code))
    return {name: code for name, code in found.items() if "NotImplementedError" not in code}


def squeezed(code: str) -> str:
    """Code without comments and layout. Nothing parses what was handed in outside the sandbox."""
    return re.sub(r"#.*|\s+", "", code)


def differing(source: bytes, lab: catalog.Lab) -> list[str]:
    """The given functions whose code does not stand in a submission as it came."""
    text = squeezed(source.decode("utf-8", "replace"))
    every = given(lab.source.relative_to(ROOT).as_posix())
    return [name for name, code in every.items() if not re.search(re.escape(code) + r"(?![-+*/.,([&|%])", text)]


# --------------------------------------------------------------------------- its run


def grade_run(handin: archives.HandIn, settings: Settings, record: dict) -> list[dict]:
    """Grade question 6 from the run; puts the measurements into the record."""
    if handin.run is None:
        hint = "hand in results/<datetime> of the run that counts"
        return entries(RUN_QUESTIONS, "ERROR", "the hand-in has no results", hint)
    run = loaded(handin, settings)
    if not isinstance(run, SavedRun):
        if not handin.others:
            return run
        cause = f"{handin.run} cannot be scored ({run[0]['message']}), but it also holds {handin.others[0]}"
        return entries(RUN_QUESTIONS, "REVIEW", f"{cause}; a person decides which one counts", run[0]["hint"])
    record["config"] = dataclasses.asdict(run.config)
    if not run.config.use_pca:  # not scored: its AutoEncoder could be anything anywhere
        return entries(RUN_QUESTIONS, "SKIPPED", "the run is not a PCA run; only those count")
    answer = claimed_index(handin)
    scored = scores.score_run(run, images(settings.dataset), answer)
    by_index, performance = scored.pop("questions")
    record |= scored
    record["signature"] = similar.signature(run)
    if answer is None:
        labels = images(settings.dataset).train_labels
        clusters = runs.cluster_labels(run, images(settings.dataset).train)
        most = np.bincount(clusters[labels == checks.ASKED_DIGIT]).argmax()
        told = f"mark it by hand from the report: cluster {most} holds most sixes"
        by_index["message"] = f"no answer in grade.json{FOR_STAFF}{told}"
    return [by_index, performance]


def loaded(handin: archives.HandIn, settings: Settings) -> SavedRun | list[dict]:
    """The hand-in's run, or the entries of both questions on it if it cannot be read."""
    with files.scratch("lab-class-") as folder:
        path = archives.unpack(handin, folder)
        try:
            config = TrainConfig.load(path / "config.yaml")
            if config.dataset != settings.dataset:
                theirs, ours = DATASETS[config.dataset], DATASETS[settings.dataset]
                raise LabError(f"the run was trained on {theirs}, but the class works on {ours}; train on that")
            if config.n_components > LARGEST_K or (config.use_pca and config.embedding_dim > LARGEST_DIM):
                cause = f"K = {config.n_components}, d = {config.embedding_dim}: too many to score with the class"
                return entries(RUN_QUESTIONS, "REVIEW", cause)
            return runs.load_run(path)
        except LabError as error:
            if no_resources(error):
                raise
            cause, _, hint = str(error).replace(str(path), handin.run).partition("; ")
            return entries(RUN_QUESTIONS, "ERROR", cause, hint)


def reproduced(performance: dict, handin: archives.HandIn, code: list[dict], record: dict, box: sandbox.Box) -> dict:
    """The entry of Performance after reproducing the run; ``record`` gets the attempts.

    ``code`` are the entries of the questions on its code: steps that earn nothing made no run.
    """
    found = performance["message"]

    def undecided(cause: str, verdict: str = "REVIEW", hint: str = "") -> dict:
        if performance["verdict"] == "REVIEW":  # for another reason, which stays the first
            return performance | {"message": f"{found}; {cause}"}
        return performance | {"score": 0.0, "verdict": verdict, "message": f"{cause}; {found}", "hint": hint}

    verdicts = {q["verdict"] for q in code}
    if handin.source is None:
        return undecided("not reproduced: there is no submission.py")
    if verdicts and verdicts <= {"TIMEOUT", "INTERNAL"}:  # all that they have in common is to load the file
        internal = "INTERNAL" in verdicts
        return undecided("not reproduced: no question on the code came to an end", "INTERNAL" if internal else "REVIEW")
    config = TrainConfig(**record["config"])
    again = rerun.reproduce(box, config, record["db"], images(config.dataset))
    record["reproduced"] = {"way": again.way, "attempts": again.attempts}
    idle = [q["label"] for q in code if q["id"] in STEPS and not q["score"] and q["verdict"] != "INTERNAL"]
    if again.way and not idle:
        return performance | {"message": f"{found}; reproduced by {again.sentence(last=True)}"}
    if again.our_fault:
        return undecided(again.sentence(), "INTERNAL")
    told = f"; {' and '.join(idle)} earned no points, and a run needs both steps" if idle else ""
    how = "not accepted" if again.doubt or again.way else "not reproduced"
    hint = "hand in the submission.py that made the run, with the run's own config.yaml"
    return undecided(f"{how}: {again.sentence()}{told}; a person decides", hint=hint)


def claimed_index(handin: archives.HandIn) -> int | None:
    """The answer to question 6, ``sample_index`` of the hand-in's grade.json; None if there is none."""
    try:
        content = json.loads(handin.files.get("grade.json", b"").decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    answer = content.get("sample_index") if isinstance(content, dict) else None
    return answer if type(answer) is int and abs(answer) < 10**9 else None
