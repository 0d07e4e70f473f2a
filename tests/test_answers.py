"""What a child process answers is read without trust: nothing is allocated, opened or run because of it."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from sandbox import answers

DONE = {"outcome": np.frombuffer(b'{"status": "done"}', np.uint8)}
RAISED = {"status": "raised", "kind": "exception", "type": "ValueError", "text": "no", "line": 7, "trace": ""}


def told(outcome) -> bytes:
    raw = outcome if isinstance(outcome, bytes) else json.dumps(outcome).encode()
    return save({"outcome": np.frombuffer(raw, np.uint8)})


def headed(header, data: bytes = b'{"status": "done"}') -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def entry(shape, end: int, dtype: str = "F64", start: int = 18) -> dict:
    outcome = {"dtype": "U8", "shape": [18], "data_offsets": [0, 18]}
    return {"outcome": outcome, "y": {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}}


def test_honest_answers_come_back_as_new_arrays():
    sent = {"y": np.arange(6.0).reshape(2, 3), "none": np.zeros((0, 4)), "one": np.array(3.5), "u": np.ones(2, "u1")}
    outcome, arrays = answers.read(save(sent | DONE))
    assert outcome == {"status": "done"} and arrays.keys() == sent.keys()
    for name, array in sent.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype and arrays[name].flags.writeable and arrays[name].flags.c_contiguous
    _, arrays = answers.read(save({"y": np.ones(2), "y.imag": np.full(2, 2.0)} | DONE))
    np.testing.assert_array_equal(arrays["y"], np.full(2, 1 + 2j))


BAD = {
    "nothing": b"",
    "too short": b"\0" * 7,
    "a header of exabytes": (2**62).to_bytes(8, "little") + bytes(100),
    "a long header": headed(b" " * 70_000),
    "no JSON": headed(b"{{{"),
    "a deep header": headed(b"[" * 50_000),
    "a list": headed([1, 2]),
    "entries without a shape": headed({"y": {}}),
    "an absurd shape of no bytes": headed(entry([0, 99999999999999], 18)),
    "a shape that overflows": headed(entry([2**33, 2**33, 0], 18)),
    "a negative shape": headed(entry([-1], 18)),
    "a shape of words": headed(entry(["a"], 18)),
    "too many axes": headed(entry([1] * 20, 26)),
    "a shape that does not fit": headed(entry([4], 26), b'{"status": "done"}' + bytes(8)),
    "data that overlaps": headed(entry([1], 9, start=1)),
    "an unknown type": headed(entry([1], 26, "X9"), b'{"status": "done"}' + bytes(8)),
    "bytes left over": headed(entry([1], 26), b'{"status": "done"}' + bytes(99)),
    "another name": save({"Y z": np.ones(1)} | DONE),
    "a name with a path": save({"../y": np.ones(1)} | DONE),
    "too many arrays": save({f"y_{i}": np.ones(1) for i in range(99)} | DONE),
    "half a complex array": save({"y.imag": np.ones(2)} | DONE),
    "halves of different shapes": save({"y": np.ones(3), "y.imag": np.ones(2)} | DONE),
    "no outcome": save({"y": np.ones(1)}),
    "a pickle": pickle.dumps({"status": "done"}),
    "an outcome that is not JSON": told(b"\xff{"),
    "a deep outcome": told(b"[" * 100_000),
    "a long outcome": told(b" " * 200_000 + b'{"status": "done"}'),
    "an outcome of another kind": told([1]),
    "an unknown status": told({"status": "internal"}),
    "an unknown kind of error": told(RAISED | {"kind": "ours"}),
    "an error without text": told({"status": "raised", "kind": "exception"}),
    "a text that is a number": told(RAISED | {"text": 7}),
}


@pytest.mark.parametrize("case", BAD)
def test_what_no_honest_child_sends_is_refused(case):
    with pytest.raises(answers.BadAnswer) as refusal:
        answers.read(BAD[case])
    assert len(str(refusal.value)) < 300 and str(refusal.value).isprintable()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 150), st.binary(min_size=1, max_size=8))
def test_damaged_answers_are_read_or_refused(junk, at, changed):
    good = save({"y": np.arange(4.0)} | DONE)
    for content in (junk, len(junk).to_bytes(8, "little") + junk, good[:at] + changed + good[at + len(changed) :]):
        try:
            answers.read(content)
        except answers.BadAnswer:
            continue


def test_an_error_is_cleaned():
    text = "\x1b[2J\x07" + "x" * 5000
    outcome, arrays = answers.read(told(RAISED | {"text": text, "type": "T\n" * 90, "trace": "a\nb\x1b" * 3000}))
    assert arrays == {} and outcome["text"].startswith("x") and len(outcome["text"]) <= 2000
    assert "\n" not in outcome["type"] and len(outcome["type"]) <= 100 and len(outcome["trace"]) <= 4000
    for line, wanted in ((7, 7), (-1, None), ("7", None), (True, None), (10**9, None), (None, None)):
        assert answers.read(told(RAISED | {"line": line}))[0]["line"] == wanted
