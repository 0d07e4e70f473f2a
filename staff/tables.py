"""CSV files that staff edit in a spreadsheet: read in any form it saves, written so that it changes nothing."""

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hi_mnist import files
from hi_mnist.cli import LabError
from hi_mnist.text import listed, one_line, size

LARGEST = 10 << 20  # bytes
LONGEST_CELL = 32_000  # characters; a spreadsheet's cell holds little more
CHANGED = "a spreadsheet changed it; format the column as text and enter the id again"
TEXTS = {"student_id", "hand_in", "name", "status", "comment", "note"}  # no numbers, so their commas stay
# Excel and LibreOffice take such a cell for a formula; Chinese keyboards write the wide forms. An apostrophe makes it
# text, and one more is put before those that a text has.
_FORMULA = re.compile("'*[=+@\uff1d\uff0b\uff0d\uff20-]")
_WIDE = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
_NUMBER = re.compile(r"[0-9]+(?:[.,]([0-9]+))?(e\+?[0-9]+)?", re.I)


class Row(NamedTuple):
    """A line of a table: its number in the file and its cells by column, stripped."""

    line: int
    cells: dict[str, str]


class Sheet(NamedTuple):
    """A table as its file has it: its lines that are not empty, their numbers, what parts the cells, the encoding."""

    rows: list[list[str]]
    numbers: list[int]
    delimiter: str
    encoding: str


def sheet(path: Path) -> tuple[Sheet, list[str]]:
    """A table's lines, at least one, and notes on how the file was read; form of the file and errors as in ``read``."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise LabError(f"there is no file {path}") from None
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}; name a CSV file") from None
    if len(raw) > LARGEST:
        raise LabError(f"{path} is larger than {size(LARGEST)}, too large for a class's table")
    text, encoding = _decoded(raw)
    if not encoding:
        raise LabError(f"{path} is not text, or neither UTF-8 nor clearly GBK; save it as CSV UTF-8")
    notes = [f"{path.name} is not UTF-8 and was read as GBK; check names and comments"] * (encoding == "gb18030")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    # Strict, because a quote that is never closed would swallow all lines that follow.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(cells, reader.line_num) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise LabError(f"{path.name}, line {reader.line_num}: {error}; save it as CSV once more") from None
    if not lines:
        raise LabError(f"{path.name}, line 1: the file is empty; its first line must name the columns")
    return Sheet(*map(list, zip(*lines, strict=True)), delimiter, encoding), notes


def read(path: Path, required: Iterable[str], optional: Iterable[str] | None = ()) -> tuple[list[Row], list[str]]:
    """The lines that are not empty of a table whose first line names the columns, and notes on how it was read.

    Where no commas part the cells, numbers may have a decimal comma. The columns ``name`` and ``hand_in`` are always
    allowed; ``optional`` None allows all others. LabError: the file or its encoding is not clear, a column is missing,
    unknown or twice, or a line is too long.
    """
    (lines, numbers, delimiter, _), notes = sheet(path)
    (columns, *lines), rows = [[_unguarded(cell.strip()) for cell in cells] for cells in lines], []
    columns, required = [cell.casefold() for cell in columns], list(required)
    wrong = {"lacks the column": [name for name in required if name not in columns]}
    if optional is not None:
        known = {*required, *optional, "name", "hand_in"}
        wrong["has the unknown column"] = [name for name in columns if name and name not in known]
        wrong["repeats"] = [name for name in columns if name and columns.count(name) > 1]
    for what, names in wrong.items():
        if names:
            known = ", ".join(sorted({*required, *(optional or ())}))
            raise LabError(f"{path.name}, line {numbers[0]}: it {what} {listed(names)}; known: {known}")
    for line, cells in zip(numbers[1:], lines, strict=True):
        if len(cells) > len(columns) and any(cells[len(columns) :]):
            raise LabError(f"{path.name}, line {line}: {len(cells)} cells, but {len(columns)} columns")
        by_column = dict(zip(columns, cells + [""] * len(columns), strict=False))
        for column in by_column.keys() - TEXTS if delimiter != "," else ():
            by_column[column] = re.sub(r"^(-?\d+),(\d+)$", r"\1.\2", by_column[column])
        rows += [Row(line, by_column)] * any(cells)
    return rows, notes


def _decoded(raw: bytes) -> tuple[str, str]:
    """A file's text and encoding: UTF-16 by its mark, UTF-8, or GBK, as in China; empty if it is neither."""
    utf8 = "utf-8-sig" if raw.startswith(codecs.BOM_UTF8) else "utf-8"
    utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ["utf-16"] if utf16 else [utf8, "gb18030"]:
        with suppress(UnicodeDecodeError):
            text = raw.decode(encoding)
            if "\0" not in text and (encoding != "gb18030" or _is_chinese(text)):
                return text, encoding
    return "", ""


def _is_chinese(text: str) -> bool:
    """Whether most characters outside ASCII are GB 2312's and stand where Chinese text has them.

    Misread European text and damaged UTF-8 have rare ones, or single ones after a letter.
    """
    likely = re.sub(r"(?<=[A-Za-z])[^\0-\x7f](?![^\0-\x7f])", "", text)
    codes = [c.encode("gb18030") for c in likely if c > "\x7f"]
    usual = sum((c[0] in (0xA1, 0xA3) or 0xB0 <= c[0] <= 0xF7) and c[1] > 0xA0 for c in codes)
    return 2 * usual > sum(c > "\x7f" for c in text)


def _unguarded(cell: str) -> str:
    """Undo what ``guarded`` did, and what makes a spreadsheet show a number as it is: ``="007"``."""
    if cell.startswith("'") and _FORMULA.match(cell):
        return cell[1:]
    shown = re.fullmatch('="([^"]*)"', cell)
    return shown[1].strip() if shown else cell


def narrow(text: str) -> str:
    """Text with the wide digits and signs of Chinese keyboards as ASCII."""
    return text.translate(_WIDE)


def same_id(value: str, student_id: str) -> bool:
    """Whether a spreadsheet may show an id as ``value``: without zeros in front, or 2.1E+09 for 2100000003."""
    one, other = (re.sub("(?<![0-9])0+(?=[0-9])", "", key(text)) for text in (value, student_id))
    shown = _NUMBER.fullmatch(value)
    if one == other or not shown or not _NUMBER.fullmatch(student_id):
        return one == other
    digits = min(len(shown[1] or ""), 14) if shown[2] else 14  # spreadsheets keep 15 digits
    one, other = (f"{float(text.replace(',', '.')):.{digits}e}" for text in (value, student_id))
    return one == other


def whose(rows: list[Row], hand_ins: list[tuple[str, str]]) -> tuple[list[tuple[Row, list[str], str]], list[str]]:
    """Find the hand-ins that rows mean: by ``student_id``, which may also hold a hand-in's name, or by ``hand_in``.

    ``hand_in`` counts if ``student_id`` is empty. It also counts if no hand-in has that id, and the one that is named
    has none, or one that a spreadsheet may have changed to it. ``hand_ins`` are ids and names of all.

    Returns:
        each row with the names of its hand-ins and what is wrong with it, empty if nothing is; and notes.
    """
    ids = {hand_in: student_id for student_id, hand_in in hand_ins}
    by_name = {key(hand_in): hand_in for hand_in in ids if key(hand_in)}
    known, by_id = set(map(key, ids.values())), {}
    for student_id, hand_in in hand_ins:
        for name in {key(student_id or hand_in), key(hand_in if "+" in hand_in else "")} - {""}:
            if student_id or name not in known:  # a file named like another's id would get that student's marks
                by_id.setdefault(name, []).append(hand_in)
    found, taken, changed = [], {}, []
    for row in rows:
        student_id, hand_in = row.cells["student_id"], row.cells.get("hand_in", "")
        named = by_name.get(key(hand_in))
        column, shown = ("student_id", student_id) if student_id else ("hand_in", hand_in)
        meant, wrong = by_id.get(key(student_id), []) if student_id else [], ""
        if named and not meant and (not ids[named] or not student_id or same_id(student_id, ids[named])):
            meant = by_id[key(ids[named])] if student_id and ids[named] else [named]
            changed += [f"{student_id} ({named})"] if student_id else []
        if not shown:
            wrong = "column student_id: it is empty, and hand_in is empty, too"
        elif not meant:
            near = {name for name in (*ids.values(), *ids) if same_id(shown, name)}
            hint = f" (did you mean {near.pop()}? {CHANGED.capitalize()})" if len(near) == 1 else ""
            hint = hint or f" ({CHANGED})" * bool(_NUMBER.fullmatch(shown) and not shown.isdigit())
            wrong = f"column {column}: {shown!r} is not in the gradebook{hint}"
        elif named and named not in meant:
            wrong = f"column hand_in: {hand_in} is not a hand-in of {student_id}"
        elif first := next((taken[one] for one in meant if one in taken), None):
            wrong = f"column {column}: {shown} is already in line {first}"
        else:
            taken |= dict.fromkeys(meant, row.line)
        found.append((row, meant, wrong and f"line {row.line}, {wrong}"))
    notes = [f"found by hand_in, because no hand-in has the id: {listed(changed)}"] if changed else []
    return found, notes


def refuse(path: Path, errors: list[str]) -> None:
    """Raise one ``LabError`` for all errors in a table, if there are any."""
    if errors:
        raise LabError(f"{path.name}, {listed(errors, '; ')}; nothing was written")


def write(path: Path, columns: list[str], rows: Iterable[dict]) -> None:
    """Write a table whole or not at all, with the byte order mark that Excel needs."""
    files.write_text(path, as_csv([columns, *([row[column] for column in columns] for row in rows)], mark=True))


def as_csv(lines: Iterable[list], mark: bool = False) -> str:
    """Lines of a table as text, all cells quoted and no formulas; ``mark`` puts a byte order mark before them."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(map(guarded, line) for line in lines)
    return "\ufeff" * mark + text.getvalue()


def guarded(value: str | float | None) -> str:
    """A cell's text: numbers with at most four decimals, None as an empty cell, no formulas.

    Text is on one line and free of control characters; ``read`` gives back exactly that line.
    """
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    text = one_line(value, LONGEST_CELL)
    return f"'{text}" if _FORMULA.match(text) else text


def key(name: str) -> str:
    """The form of an id or a name by which it is found: without case, invisible characters and kinds of spaces."""
    return " ".join(unicodedata.normalize("NFKC", one_line(name, LONGEST_CELL)).casefold().split())
