"""Read what a student's process answered, without trusting it.

Sizes and shapes are checked before anything is allocated, nothing is unpickled or evaluated, and terminal commands are
removed from text.
"""

import json
import re

import numpy as np
import safetensors.numpy

from hi_mnist import text
from hi_mnist.files import LONGEST_HEADER

MOST_ARRAYS = 64
MOST_AXES = 8
LARGEST_SIZE = 2**26  # of a shape's axes together: (0, 10**12) has no bytes, but is absurd too
LARGEST_OUTCOME = 128 * 2**10  # the worker's longest texts, at twelve bytes per character
LONGEST_TEXT = 2000
LONGEST_TRACE = 4000
ERROR_KINDS = ("exception", "not_attempted", "syntax", "import", "missing")
_NAME = re.compile(r"[a-z_0-9]+(\.imag)?", re.ASCII)


class BadAnswer(Exception):
    """It is not one that an honest worker gives."""


def read(content: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """The outcome and the arrays of an answer in the format safetensors.

    The outcome is ``{"status": ...}``, with kind, type, text, line, errno and trace if it is "raised"; the arrays are
    new and writable, of kind b, i, u, f or c. Raises BadAnswer if the answer has another form, or is too large.
    """
    if len(content) < 8 or int.from_bytes(content[:8], "little") > LONGEST_HEADER:
        raise BadAnswer("its header is too long")
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        shapes = {name: entry["shape"] for name, entry in header.items()}
        plain = all(_NAME.fullmatch(name) for name in shapes) and len(shapes) <= MOST_ARRAYS
        sizes = [np.prod([max(n, 1) for n in shape], dtype=float) for shape in shapes.values()]
        if not plain or max(sizes) > LARGEST_SIZE or max(map(len, shapes.values())) > MOST_AXES:
            raise BadAnswer("odd names, too many arrays or absurd shapes")
        arrays = safetensors.numpy.load(content)
    except (KeyboardInterrupt, SystemExit, BadAnswer):
        raise
    except BaseException as error:  # Rust's panics are no Exceptions
        raise BadAnswer(text.one_line(error, 200)) from None
    outcome = _outcome(arrays.pop("outcome", np.zeros(0, np.uint8)).tobytes())
    result = {name: np.array(array) for name, array in arrays.items() if not name.endswith(".imag")}
    for name in [name for name in arrays if name.endswith(".imag")]:
        real = result.get(name.removesuffix(".imag"), np.zeros(0))
        if real.shape != arrays[name].shape:
            raise BadAnswer("half a complex array")
        result[name.removesuffix(".imag")] = real + 1j * arrays[name]
    return outcome, result


def _outcome(raw: bytes) -> dict:
    try:
        outcome = json.loads(raw.decode("utf-8")) if len(raw) <= LARGEST_OUTCOME else None
    except (ValueError, RecursionError):
        raise BadAnswer("its outcome is not JSON") from None
    status = outcome.get("status") if isinstance(outcome, dict) else None
    if status in ("done", "memory", "exit"):
        return {"status": status}
    told = {key: outcome.get(key) for key in ("kind", "type", "text", "trace")} if status == "raised" else {}
    if not told or not all(isinstance(value, str) for value in told.values()) or told["kind"] not in ERROR_KINDS:
        raise BadAnswer("its outcome has other fields")
    line, number = (value if type(value) is int else None for value in (outcome.get("line"), outcome.get("errno")))
    told |= {key: text.one_line(told[key], longest) for key, longest in (("type", 100), ("text", LONGEST_TEXT))}
    told |= {"trace": text.plain(told["trace"], LONGEST_TRACE), "status": status, "errno": number}
    return told | {"line": line if line and 0 < line < 10**7 else None}
