"""Students compared: what two share counts if hardly anybody else has it, whatever the names and the layout."""

import ast
from unittest.mock import Mock

import handins
import numpy as np
from small_class import add, feedback

import sandbox
from staff import fingerprint, gradebook, similar

pytest_plugins = ["small_class"]


def variant(number: int) -> str:
    """A right submission.py: the regions of the corpus are combined in another way for each number."""
    text = handins._base("skeleton")
    for step, (question, label) in zip((1, 3, 5, 7), handins.REGIONS.items(), strict=True):
        cases = [c for c in handins.read(handins.HERE / "correct" / f"{question}.py") if list(c.sections) == [label]]
        text = handins._fill(text, label, cases[number * step % len(cases)].sections[label])
    return text


def fingerprints(source: bytes) -> dict[str, list[int]]:
    return {part: array.tolist() for part, array in fingerprint.fingerprint(source).items()}


def rows(sources: dict[str, str]) -> list[gradebook.Row]:
    made = []
    for name, text in sources.items():
        hashes = fingerprints(text.encode())
        made.append(gradebook.Row(name, name, "", {"fingerprint": hashes, "signature": [], "notes": [], "review": []}))
    return made


def disguised(text: str) -> str:
    """Other local names, other line breaks, no comments."""
    tree = ast.parse(text)
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        own = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id in own:
                node.id = f"my_{node.id}_again"
    return ast.unparse(tree)


CLASS = {f"PB{i:02}": variant(i) for i in range(6)}


def test_a_copy_is_listed_whatever_its_names_and_layout():
    for name in ("PB00", "PB01", "PB02"):
        (pair, *others) = similar.compare(rows(CLASS | {"copy": disguised(CLASS[name])}))
        assert pair[:2] == (name, "copy"), pair
        assert not any("copy" in other for other in others), name


def test_many_copies_of_one_file_hide_no_other_pair():
    many = {f"PB{i}": CLASS["PB00"] if i < 6 else f"x = {i}" for i in range(120)}
    first, *others = similar.compare(rows(many | {"one": CLASS["PB01"], "two": CLASS["PB01"]}))
    assert first[:2] == ("one", "two") and len(others) == 5


def test_what_many_have_or_everybody_was_given_is_nobodys():
    skeleton, solved = handins._base("skeleton"), handins.SOLVED.read_text(encoding="utf-8")
    for sources in (
        {},
        {"PB1": solved, "PB2": solved},
        {"PB1": skeleton, "PB2": skeleton},
        {f"PB{i}": CLASS["PB00"] for i in range(similar.FEWEST + 1)},
        {f"PB{i}": variant(i % 4) for i in range(4 * (similar.FEWEST + 1))},  # four textbook solutions
        {f"PB{i}": variant(0) if i < 5 else f"x = {i}" for i in range(80)},  # more than 5 %
    ):
        assert similar.compare(rows(sources)) == [], len(sources)


def test_equal_comments_tell_where_the_code_says_nothing():
    said = ["numerically safer than np.log alone", "see the lecture of 12 November", "rows are the samples, I think"]
    for count in (2, 3):
        texts = dict(CLASS)
        for name, sign in (("PB00", "# "), ("PB01", "#")):
            lines = "".join(f"        {sign}{line}\n" for line in said[:count])
            texts[name] = texts[name].replace("        # BEGIN_YOUR_CODE 1.1", f"{lines}        # BEGIN_YOUR_CODE 1.1")
        found = similar.compare(rows(texts))
        assert len(found) == (count == similar.COMMENTS)
        assert all(pair[:2] == ("PB00", "PB01") and pair[2].endswith("3 equal comments") for pair in found)


def test_one_student_is_not_compared_with_himself_and_old_records_with_nobody():
    twice = rows({"a": CLASS["PB00"], "b": CLASS["PB00"]})
    twice[0].student_id = twice[1].student_id = "PB1"
    assert similar.compare(twice) == []
    old = rows({"a": CLASS["PB00"], "b": CLASS["PB00"]})
    for row in old:
        row.record["fingerprint"] = {"e_step": "Return(value=Name(id='X'))"}
    assert similar.compare(old) == []


def test_the_fingerprint_finds_a_function_however_deep():
    plain = b"class GMM:\n    def _e_step(self, X):\n        return X + 1\n"
    nested = b"class GMM:\n    if True:\n        def _e_step(self, X):\n            return X + 1\n"
    assert fingerprints(nested)["e_step"] and fingerprints(nested) == fingerprints(plain)


def test_code_is_read_in_the_child_and_what_it_leaves_is_not_believed():
    source = b"raise SystemExit\n" + handins.find("correct/w_base_class_and_dataclass").source()
    with sandbox.Box(source) as box:
        kept = similar.hashes(box)  # it is not run
    assert kept["m_step"] and kept["helpers"] and kept == fingerprints(source)
    large = np.arange(9999, dtype=np.uint32).reshape(-1, 3)
    for arrays in ({}, {"m_step": large, "other": large}, {"e_step": np.array([np.nan, 1j])}, {"helpers": np.ones(3)}):
        kept = similar.hashes(Mock(run=lambda *_, arrays=arrays, **__: sandbox.Outcome("done", arrays=arrays)))
        assert all(0 <= value < 2**32 for values in kept.values() for value in values), arrays
        assert set(kept) <= set(fingerprint.PARTS) and all(len(values) <= fingerprint.MOST for values in kept.values())


def test_equal_parameters_are_reviewed_where_the_code_is_equal_or_hidden(handins, grade, tmp_path):
    for i, word in enumerate(("copy", "same x", "copy", "same y")):
        add(handins, f"PB{i}", word)
    rows = grade()
    assert [row["status"] for row in rows.values()] == ["REVIEW", "OK", "REVIEW", "OK"]
    assert "nearly the same code and the same parameters as PB2+Ann+LAB3" in rows["PB0"]["note"]
    assert "PB2" not in feedback(tmp_path / "out", "PB0")  # no student reads another's name
    add(handins, "PB4", "hidden")
    rows = grade("--resume")
    assert {row["status"] for row in rows.values()} == {"REVIEW"}
    assert "code that cannot be compared and the same parameters as PB0+Ann+LAB3" in rows["PB4"]["note"]
