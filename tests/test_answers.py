"""Reading any file gives a plain array or clean text, or raises BadAnswer."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from grading import answers

PLAIN = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(endianness="?"),
    arrays.unsigned_integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?"),
    arrays.complex_number_dtypes(endianness="?"),
)


def npy(array, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def with_header(header: bytes, content: bytes = bytes(8)) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@given(arrays.arrays(PLAIN, arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)), st.booleans())
def test_what_numpy_saves_is_read(array, fortran):
    read = answers.parse_array(npy(np.asfortranarray(array) if fortran and array.ndim else array))
    assert read.dtype == array.dtype.newbyteorder("=") and read.shape == array.shape
    assert read.flags.c_contiguous and read.flags.writeable
    np.testing.assert_array_equal(read, array)


@given(st.binary(max_size=200), st.integers(0, 150), st.booleans())
def test_damaged_files_are_refused_or_read(damage, place, replace):
    data = npy(np.arange(6.0).reshape(2, 3))
    try:
        read = answers.parse_array(data[:place] + damage + data[place + len(damage) * replace :])
    except answers.BadAnswer:
        return
    assert read.nbytes < 1000


HEADERS = {
    "huge": b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }" + b" " * 60_000 + b"\n",
    "no comma at its end": b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}\n",
    "nested": b"(" * 500 + b")" * 500,
    "a call": b"{'descr': __import__('os').getcwd(), 'fortran_order': False, 'shape': (1,), }\n",
    "objects": b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n",
    "no such type": b"{'descr': '<f7', 'fortran_order': False, 'shape': (1,), }\n",
    "negative": b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n",
    "too many numbers": b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n",
    "too few numbers": b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n",
    "beyond memory": b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 999999999999), }\n",
    "beyond sense": b"{'descr': '<f8', 'fortran_order': False, 'shape': (0, 999999999999), }\n",
    "many axes": b"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1), }\n",
    "names": b"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }\n",
}


def test_other_headers_and_files_cut_short_are_refused():
    for length in range(len(data := npy(np.zeros(4)))):
        with pytest.raises(answers.BadAnswer):
            answers.parse_array(data[:length])
    for case, header in HEADERS.items():
        with pytest.raises(answers.BadAnswer):
            pytest.fail(f"{case}: {answers.parse_array(with_header(header))}")


def test_a_byte_that_is_not_a_bool_becomes_one():
    read = answers.parse_array(npy(np.zeros(3, bool))[:-3] + b"\x00\x01\x07")
    assert read.tobytes() == b"\x00\x01\x01"


def test_all_arrays_together_are_bounded(tmp_path):
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.zeros(100))
    assert set(answers.read_arrays(tmp_path, 1600)) == {"a", "b"}
    with pytest.raises(answers.BadAnswer, match="too large"):
        answers.read_arrays(tmp_path, 1599)


RAISED = {"status": "raised", "kind": "exception", "type": "E", "text": "t", "line": 3, "trace": "a\nb"}
OUTCOMES = {
    "empty": b"",
    "no JSON": b"done",
    "nested": b"[" * 30_000 + b"]" * 30_000,
    "a long number": b'{"status": ' + b"9" * 30_000 + b"}",
    "not UTF-8": b'{"status": "\xff"}',
    "a list": b'["done"]',
    "a status of its own": b'{"status": "PASS", "score": 100}',
    "a status of another type": b'{"status": ["done"]}',
    "a kind of its own": json.dumps(RAISED | {"kind": "pass"}).encode(),
    "a text of another type": json.dumps(RAISED | {"text": ["t"]}).encode(),
    "no trace": json.dumps({key: RAISED[key] for key in RAISED if key != "trace"}).encode(),
    "too long": json.dumps(RAISED | {"more": "x" * answers.LARGEST_OUTCOME}).encode(),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_forged_outcomes_are_refused(case, tmp_path):
    (tmp_path / "outcome.json").write_bytes(OUTCOMES[case])
    with pytest.raises(answers.BadAnswer):
        answers.read_outcome(tmp_path / "outcome.json")


def test_an_outcome_keeps_only_the_known_fields(tmp_path):
    path = tmp_path / "outcome.json"
    assert answers.read_outcome(path) is None
    path.write_text(json.dumps({"status": "done", "score": 100}))
    assert answers.read_outcome(path) == {"status": "done"}
    path.write_text(json.dumps(RAISED | {"score": 100}))
    assert answers.read_outcome(path) == RAISED
    for line in (True, 0, -1, 1.5, "3", 10**9):
        path.write_text(json.dumps(RAISED | {"line": line}))
        assert answers.read_outcome(path)["line"] is None


def test_texts_lose_what_a_terminal_could_obey(tmp_path):
    told = {"type": "\x1b[31mE\x1b[0m\n", "text": "a\u202e\x00\r\nb" + "x" * 5000, "trace": "a\tb\n\x9b2J" + "y" * 9000}
    (tmp_path / "outcome.json").write_text(json.dumps(RAISED | told))
    read = answers.read_outcome(tmp_path / "outcome.json")
    assert read["type"] == "E"
    assert read["text"].startswith("a bxxx") and len(read["text"]) <= answers.LONGEST_TEXT
    assert read["trace"].startswith("a    b\nyyy") and len(read["trace"]) <= answers.LONGEST_TRACE


LEFT = {
    "link to an array": lambda y: (np.save("y.npy", 1.0), os.symlink("../y.npy", y)),
    "link to a file outside": lambda y: os.symlink("/etc/hostname", y),
    "pipe": os.mkfifo,
    "folder": os.mkdir,
    "pickle": lambda y: np.save(y, np.array([{}, None], object), allow_pickle=True),
    "structure": lambda y: np.save(y, np.zeros(2, "i4,f8")),
    "text": lambda y: np.save(y, np.array(["a", "b"])),
    "dates": lambda y: np.save(y, np.zeros(2, "M8[s]")),
    "nothing": lambda y: Path(y).touch(),
    "too large": lambda y: (Path(y).touch(), os.truncate(y, 65 * 2**20)),
    "too many": lambda y: [np.save(f"outputs/y{i}.npy", 1.0) for i in range(33)],
    "no folder": lambda y: (os.rename("outputs", "other"), os.symlink("other", "outputs")),
}


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")
@pytest.mark.parametrize("case", LEFT)
def test_only_plain_arrays_in_regular_files_are_read(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("outputs")
    LEFT[case]("outputs/y.npy")
    with pytest.raises(answers.BadAnswer):
        answers.read_arrays(tmp_path / "outputs", 2**30)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")
def test_only_a_regular_outcome_is_read_and_devices_are_not_opened(tmp_path):
    path = tmp_path / "outcome.json"
    (tmp_path / "o").write_text('{"status": "done"}')
    for put in (lambda: path.symlink_to(tmp_path / "o"), lambda: os.mkfifo(path)):
        put()
        with pytest.raises(answers.BadAnswer):
            answers.read_outcome(path)
        path.unlink()
    for path in ("/dev/zero", "/dev/null"):
        with pytest.raises(answers.BadAnswer, match="regular file"):
            answers.read_regular_file(Path(path), 100)
