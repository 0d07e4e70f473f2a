"""Read what a student's process left behind, without trusting it.

Only regular files are opened, never links, pipes or devices; sizes are checked before anything is read or allocated;
nothing is unpickled or evaluated; terminal commands are removed from text.
All processes that could still write must have ended first.
"""

import json
import math
import os
import re
import stat
from pathlib import Path

import numpy as np

from hi_mnist import text

LARGEST_ARRAY = 64 * 2**20  # bytes of one file
MOST_ARRAYS = 32
LARGEST_OUTCOME = 128 * 2**10  # the worker's longest texts, at twelve bytes per character
LONGEST_TEXT = 2000
LONGEST_TRACE = 4000
ERROR_KINDS = ("exception", "not_attempted", "syntax", "import", "missing")

_ARRAY_FILE = re.compile(r"([a-z_0-9]+)\.npy", re.ASCII)
# Exactly what numpy.save writes: numpy.lib.format would evaluate the text as a Python literal.
_HEADER = re.compile(
    rb"\{'descr': '([<>|=][biufc][0-9]{1,2})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,12},? ?){0,8})\), \} *\n"
)


class BadAnswer(Exception):
    """The file is not one that an honest worker leaves."""


def read_arrays(folder: Path, most_bytes: int) -> dict[str, np.ndarray]:
    """The arrays NAME.npy of a folder, by name; other files are ignored.

    Args:
        most_bytes: limit for all arrays together.

    Returns:
        New, writable, C-contiguous arrays in native byte order of kind b, i, u, f or c.

    Raises:
        BadAnswer: one of them is not an array, or too large, or there are too many.
    """
    if not stat.S_ISDIR(_lstat(folder).st_mode):
        raise BadAnswer("the folder of answers is gone")
    try:
        names = sorted(match[1] for name in os.listdir(folder) if (match := _ARRAY_FILE.fullmatch(name)))
    except OSError as error:
        raise BadAnswer(f"the folder of answers cannot be read: {error.strerror}") from None
    if len(names) > MOST_ARRAYS:
        raise BadAnswer(f"more than {MOST_ARRAYS} answers")
    arrays = {}
    for name in names:
        arrays[name] = parse_array(read_regular_file(folder / f"{name}.npy", LARGEST_ARRAY))
        most_bytes -= arrays[name].nbytes
        if most_bytes < 0:
            raise BadAnswer("the answers are too large")
    return arrays


def parse_array(data: bytes) -> np.ndarray:
    """The array of an .npy file's bytes; raises BadAnswer unless ``numpy.save`` wrote it from plain numbers."""
    if data[:8] == b"\x93NUMPY\x01\x00":
        start = 10
    elif data[:8] == b"\x93NUMPY\x02\x00":
        start = 12
    else:
        raise BadAnswer("not an .npy file")
    length = int.from_bytes(data[8:start], "little")
    header = _HEADER.fullmatch(data[start : start + length]) if length <= 1024 else None
    if header is None:
        raise BadAnswer("an .npy header that is not plain numbers")
    try:
        dtype = np.dtype(header[1].decode())
        shape = tuple(int(size) for size in header[3].decode().replace(",", " ").split())
        if math.prod(size for size in shape if size) > LARGEST_ARRAY:  # (0, 10**12) has no bytes, but is absurd too
            raise BadAnswer("an absurdly large shape")
        content = memoryview(data)[start + length :]
        if math.prod(shape) * dtype.itemsize != len(content):
            raise BadAnswer("a shape that does not fit the file's length")
        if dtype.kind == "b":  # bytes other than 0 and 1 are not valid bools
            flat = np.frombuffer(content, np.uint8) != 0
        else:
            flat = np.frombuffer(content, dtype).astype(dtype.newbyteorder("="))
        array = flat.reshape(shape, order="F" if header[2] == b"True" else "C")
    except (TypeError, ValueError) as error:
        raise BadAnswer(str(error)) from None
    return np.ascontiguousarray(array).reshape(shape)


def read_outcome(path: Path) -> dict | None:
    """outcome.json as {"status": ...}, with kind, type, text, line and trace if that is "raised"; None if missing.

    Raises:
        BadAnswer: the file exists, but has another form.
    """
    if not os.path.lexists(path):
        return None
    try:
        outcome = json.loads(read_regular_file(path, LARGEST_OUTCOME).decode("utf-8"))
    except (ValueError, RecursionError):
        raise BadAnswer("outcome.json is not JSON") from None
    if not isinstance(outcome, dict):
        raise BadAnswer("outcome.json does not hold an object")
    status = outcome.get("status")
    if status in ("done", "memory", "exit"):
        return {"status": status}
    told = {key: outcome.get(key) for key in ("kind", "type", "text", "trace")}
    if status != "raised" or not all(isinstance(value, str) for value in told.values()):
        raise BadAnswer("outcome.json has other fields")
    if told["kind"] not in ERROR_KINDS:
        raise BadAnswer("outcome.json names an unknown kind of error")
    line = outcome.get("line")
    return {
        "status": "raised",
        "kind": told["kind"],
        "type": text.one_line(told["type"], 100),
        "text": text.one_line(told["text"], LONGEST_TEXT),
        "line": line if type(line) is int and 0 < line < 10**7 else None,
        "trace": text.plain(told["trace"], LONGEST_TRACE),
    }


def read_regular_file(path: Path, most_bytes: int) -> bytes:
    """A regular file's bytes; raises BadAnswer if it is something else or larger."""
    if not stat.S_ISREG(_lstat(path).st_mode):  # opening a device or pipe can already do something
        raise BadAnswer(f"{path.name} is not a regular file")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadAnswer(f"{path.name} is not a regular file")
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise BadAnswer(f"{path.name} cannot be read: {error.strerror}") from None
    if len(data) > most_bytes:
        raise BadAnswer(f"{path.name} is too large")
    return data


def _lstat(path: Path) -> os.stat_result:
    try:
        return os.lstat(path)
    except OSError as error:
        raise BadAnswer(f"{path.name} cannot be read: {error.strerror}") from None
