"""The record of one hand-in: saved parameters are scored, answers are checked, faults are one sentence."""

import copy
import dataclasses
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load, save

from grading import checks, scores
from hi_mnist import data, runs
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from staff import archives, grade_one, gradebook, rerun, similar

QUESTIONS = list(gradebook.questions("main"))
SOURCE = (ROOT / "submission.py").read_bytes()


@pytest.fixture(scope="module")
def settings(standin) -> grade_one.Settings:
    return grade_one.Settings("k" * 64, False, "digits", *grade_one.facts("digits"))


@pytest.fixture
def handin(trained_run) -> archives.HandIn:
    """A hand-in with the solution's run."""
    files = {name: (trained_run / name).read_bytes() for name in archives.RUN_FILES if (trained_run / name).is_file()}
    return archives.HandIn("PB1+Ann+LAB3", "PB1", "Ann", SOURCE, "results/1", files)


@pytest.fixture
def grade_run(settings):
    """The record of a hand-in whose code is not checked, and its two questions."""

    def call(handin: archives.HandIn) -> tuple[dict, dict, dict]:
        record = grade_one.empty_record(handin, settings)
        questions = grade_one.grade_run(handin, settings, record)
        assert [q["id"] for q in questions] == ["sample_index", "performance"]
        return record, *questions

    return call


@pytest.fixture(scope="module")
def right_index(trained_run, standin) -> int:
    run, images = runs.load_run(trained_run), data.load_data_set("digits")
    (right,) = [k for k in range(10) if scores.score_index(run, k, images)["verdict"] == "PASS"]
    return right


def changed(handin: archives.HandIn, name: str, content: bytes | None) -> archives.HandIn:
    if content is None:
        del handin.files[name]
    else:
        handin.files[name] = content
    return handin


def edited(handin: archives.HandIn, name: str, edit) -> archives.HandIn:
    """The hand-in with one tensor changed by ``edit(array)``."""
    for part in ("gmm", "pca"):
        path = f"{part}/{part}.safetensors"
        tensors = load(handin.files[path])
        if name in tensors:
            tensors[name] = np.ascontiguousarray(edit(tensors[name]))
            handin.files[path] = save(tensors)
    return handin


def test_damaged_runs_lose_the_points_for_one_line_of_cause(handin, grade_run):
    for damage, name, how, cause in (  # test_runs.py has all that a run may suffer from
        (changed, "config.yaml", None, "config.yaml is missing"),
        (changed, "config.yaml", b"a: &a [1]\nb: [*a]\n", "alias"),
        (changed, "config.yaml", b"use_pca: true\ndataset: mnist\n", "but the class works on the offline stand-in"),
        (changed, "gmm/gmm.safetensors", b"\x80\x04\x95" + b"x" * 100, "damaged"),
        (changed, "pca/pca.safetensors", None, "missing"),
        (edited, "covs", lambda a: -a, "positive definite"),
    ):
        for question in grade_run(damage(copy.deepcopy(handin), name, how))[1:]:
            assert (question["verdict"], question["score"]) == ("ERROR", 0), (name, cause)
            assert cause in question["message"]
            assert "\n" not in question["message"] and "lab-class" not in question["message"]


def test_what_this_machine_cannot_do_is_never_a_verdict(handin, settings, monkeypatch):
    opened = Path.open
    monkeypatch.setattr(grade_one, "grade_code", lambda *_: [])
    for name, code, how in (
        ("config.yaml", errno.ENOSPC, "w"),
        ("gmm.safetensors", errno.EDQUOT, "w"),
        ("config.yaml", errno.EMFILE, "r"),
        ("config.json", errno.ENOMEM, "r"),
    ):

        def refuse(path, mode="r", *rest, name=name, code=code, how=how, **options):
            if path.name == name and how in mode:
                raise OSError(code, os.strerror(code), str(path))
            return opened(path, mode, *rest, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", refuse)
            record = grade_one.grade_one(handin, settings)
        verdicts = {q["verdict"] for q in record["questions"]}
        assert verdicts == {"INTERNAL"}, (name, code)
        assert "a fault of the grading program" in record["questions"][0]["message"]
    for error, is_ours in (
        (FileNotFoundError("No such file or directory: a"), True),  # what safetensors says without a file handle
        (SafetensorError("Cannot allocate memory (os error 12)"), True),
        (MemoryError(), True),
        (SafetensorError("header too large"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a"), False),
    ):

        def damaged(*_, error=error):
            try:
                raise error
            except Exception:
                raise LabError("a is damaged") from None

        monkeypatch.setattr(runs, "read_tensors", damaged)
        verdicts = {q["verdict"] for q in grade_one.grade_one(handin, settings)["questions"]}
        assert verdicts == {"INTERNAL" if is_ours else "ERROR"}, error


def test_what_cannot_be_scored_is_reviewed_skipped_or_lost(handin, grade_run):
    edited(handin, "means", lambda a: a * 0 + 1e6)
    edited(handin, "pi", lambda a: np.eye(10)[0])
    performance = grade_run(handin)[2]
    assert (performance["verdict"], performance["score"]) == ("REVIEW", 0)
    for line in ("n_components: 5000", "embedding_dim: 700"):
        changed(handin, "config.yaml", f"use_pca: true\ndataset: digits\n{line}\n".encode())
        assert grade_run(handin)[2]["verdict"] == "REVIEW", line
    # Its AutoEncoder may be anything anywhere: nobody looks for it.
    changed(handin, "config.yaml", b"use_pca: false\ndataset: digits\nae: nobody/nothing\n")
    assert [q["verdict"] for q in grade_run(handin)[1:]] == ["SKIPPED", "SKIPPED"]
    no_run = grade_run(archives.HandIn("PB1", source=SOURCE))
    assert [(q["verdict"], q["score"]) for q in no_run[1:]] == [("ERROR", 0), ("ERROR", 0)]


def test_a_person_decides_where_the_newest_run_cannot_be_scored_and_there_is_another(handin, grade_run):
    for damage, name, how, cause in (
        (changed, "gmm/gmm.safetensors", handin.files["gmm/gmm.safetensors"][:-9], "damaged"),
        (changed, "config.yaml", b"use_pca: true\ndataset: mnist\n", "but the class works on"),
        (edited, "means", lambda a: a * np.nan, "NaN"),
    ):
        one = damage(copy.deepcopy(handin), name, how)
        one.others = ["results/0"]
        for question in grade_run(one)[1:]:
            assert question["verdict"] == "REVIEW", cause
            told = question["message"]
            assert told.startswith("results/1 cannot be scored (") and cause in told and "holds results/0" in told


CODE = [q | {"score": float(q["points"])} for q in grade_one.entries(checks.QUESTIONS, "PASS", "")]


def code_with(verdict: str, *names: str) -> list[dict]:
    return [q | {"verdict": verdict, "score": 0.0} if q["id"] in names else q for q in CODE]


@pytest.fixture
def judged(handin, settings, monkeypatch):
    """``judged(way, code)``: Performance and the record where rerun and code questions end like this."""

    def call(way: str | None, code: list[dict] = CODE, **more) -> tuple[dict, dict]:
        attempts = [{"way": "own", "what": "the handed-in fit", "db": 3.0, "result": "Davies-Bouldin 3.0000"}]
        monkeypatch.setattr(rerun, "reproduce", lambda *_: rerun.Reproduction(way, attempts, **more))
        monkeypatch.setattr(grade_one, "grade_code", lambda *_: code)
        record = grade_one.grade_one(handin, dataclasses.replace(settings, rerun=True))
        return record["questions"][5], record

    return call


def test_performance_has_points_if_it_is_reproduced_by_steps_that_have_points(judged, handin):
    names = QUESTIONS[:4]
    some = code_with("TIMEOUT", *names)[:2] + code_with("INTERNAL", *names)[2:]
    for way, code, our_fault, verdict, cause in (
        ("own", CODE, False, "PASS", "the handed-in fit: Davies-Bouldin 3.0000"),
        (None, CODE, False, "REVIEW", "the handed-in fit: Davies-Bouldin 3.0000"),
        (None, CODE, True, "INTERNAL", "the handed-in fit: Davies-Bouldin 3.0000"),
        ("own", code_with("WRONG", "pca_fit", "sample_from_gmm"), False, "PASS", "reproduced by"),
        ("own", code_with("INTERNAL", "e_step"), False, "PASS", "reproduced by"),  # not the student's fault
        ("own", code_with("WRONG", "e_step"), False, "REVIEW", "1.1 E-step earned no points"),
        ("own", code_with("ERROR", "m_step"), False, "REVIEW", "1.2 M-step earned no points"),
        ("own", code_with("TIMEOUT", *names), False, "REVIEW", "no question on the code"),  # not even loaded in time
        ("own", some, False, "INTERNAL", "no question on the code"),
    ):
        performance, record = judged(way, code, our_fault=our_fault)
        assert (performance["verdict"], performance["score"] > 0) == (verdict, verdict == "PASS"), cause
        assert cause in performance["message"]
        assert (record["reproduced"] is None) == cause.startswith("no question"), cause
    handin.source = None
    assert judged("own")[0]["verdict"] == "REVIEW"


def test_what_a_hand_in_says_of_itself_is_a_claim_that_is_judged(handin, grade_run, right_index):
    performance = grade_run(handin)[2]
    for k in (*range(10), -1, 10, 10**8):
        questions = [{"id": "sample_index", "score": 5, "verdict": "PASS"}, {"id": "performance", "score": 30}]
        claim = {"sample_index": k, "auto_score": 70, "db": 0.1, "questions": questions}
        record, index, again = grade_run(changed(handin, "grade.json", json.dumps(claim).encode()))
        assert (index["verdict"], index["score"]) == (("PASS", 5) if k == right_index else ("WRONG", 0)), k
        assert ("numbered 0 to 9" in index["message"]) == (not 0 <= k < 10)
        assert record["sample_index"] == k
        assert again == performance


NO_CLAIM = [
    b"", b"{", b"[]", b"null", b"{}", b'{"sample_index": null}', b'{"sample_index": true}', b'{"sample_index": 3.0}',
    b'{"sample_index": "3"}', b'{"sample_index": [3]}', b"[" * 100_000, b"\xff\xfe\x00",
    b'{"sample_index": ' + b"9" * 5000 + b"}", b'{"sample_index": NaN}',
]  # fmt: skip


def test_what_is_not_an_answer_leaves_the_question_to_a_person(handin, grade_run, right_index):
    for content in NO_CLAIM:
        assert grade_one.claimed_index(changed(handin, "grade.json", content)) is None, content
    index = grade_run(changed(handin, "grade.json", None))[1]
    assert index["verdict"] == "SKIPPED"
    assert f"staff: mark it by hand from the report: cluster {right_index} " in index["message"]


def test_a_whole_record_with_real_children(handin, settings, right_index, trained_run):
    changed(handin, "grade.json", b'{"sample_index": %d}' % right_index)
    record = grade_one.grade_one(handin, settings)
    assert [q["verdict"] for q in record["questions"]] == ["PASS"] * 6
    scored = scores.score_run(runs.load_run(trained_run), sample_index=right_index)
    assert record["questions"][4:] == scored.pop("questions") and record | scored == record
    assert all(record["fingerprint"][name] for name in ("e_step", "m_step", "pca_fit", "sample_from_gmm"))
    assert all(0 < record["seconds"][name] < 20 for name in checks.QUESTIONS)
    assert record.pop("files") == {"submission.py": SOURCE}  # the only bytes, kept beside it
    assert settings.key not in json.dumps(record)
    assert record == json.loads(json.dumps(record, allow_nan=False))
    assert gradebook.Row("", "", "", record).status() == "OK"


def test_faults_are_reviewed_lose_points_or_are_ours_each_for_itself(handin, settings, monkeypatch):
    def graded(one: archives.HandIn) -> tuple[list[str], dict]:
        record = grade_one.grade_one(one, settings)
        return [q["verdict"] for q in record["questions"]], record

    verdicts, record = graded(archives.HandIn("PB1", refused="it is encrypted"))
    assert (set(verdicts), record["review"]) == ({"REVIEW"}, ["it is encrypted"])
    verdicts, _ = graded(dataclasses.replace(handin, source=None))
    assert verdicts[:4] == ["ERROR"] * 4 and verdicts[5] == "PASS"
    monkeypatch.setattr(grade_one, "grade_code", lambda *_: CODE)
    monkeypatch.setattr(runs, "load_run", lambda path: 1 / 0)
    verdicts, record = graded(handin)
    assert verdicts == ["PASS"] * 4 + ["INTERNAL"] * 2 and "ZeroDivisionError" in record["questions"][5]["message"]
    with pytest.raises(RuntimeError, match="other images"):
        grade_one.grade_one(handin, dataclasses.replace(settings, data="other"))


def test_signature_ignores_order_and_signs(handin, trained_run):
    run = runs.load_run(trained_run)
    first = similar.signature(run)
    order = np.random.default_rng(0).permutation(10)
    signs = np.where(np.arange(10) % 2, 1.0, -1.0)
    run.pi, run.means = run.pi[order], run.means[order] * signs
    run.covs = run.covs[order] * np.outer(signs, signs)
    assert similar.same_parameters(first, similar.signature(run))
    run.means[0] *= 1.01
    assert not similar.same_parameters(first, similar.signature(run))


def test_hand_ins_have_safe_and_different_file_names():
    names = ["a/b", "a\\b", "a:b", "张三+1+LAB3", "x" * 300, "x" * 301, "..", "a. "]
    names.append(gradebook.file_name("a:b"))  # somebody else's name, made up to meet it
    made = [gradebook.file_name(name) for name in names]
    assert len(set(map(str.casefold, made))) == len(names)
    assert made[3] == "张三+1+LAB3"
    for name in made:
        assert not set(name) & set('/\\:*?"<>|.') and len(name) < 70 and name == name.strip()


def test_given_code_that_was_changed_is_graded_as_it_is_and_noted(handin, settings, monkeypatch):
    """Layout and comments do not count, and a file of another structure is a difference, too."""
    monkeypatch.setattr(grade_one.checks, "check_code", lambda source, **_: [])
    monkeypatch.setattr(grade_one.similar, "hashes", lambda box: {})
    changed = SOURCE.replace(b"* det)", b"* det) + 0")
    assert changed != SOURCE
    for source, said in [(SOURCE.replace(b"\n", b" # mine\r\n"), ""), (changed, "in GMM._gaussian;"), (b"", " more;")]:
        record = grade_one.empty_record(handin, settings)
        grade_one.grade_code(dataclasses.replace(handin, source=source), settings, record, None)
        assert any(said in note for note in record["notes"]) if said else not record["notes"], source
