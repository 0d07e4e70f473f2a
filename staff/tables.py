"""CSV files that staff edit in a spreadsheet: read in any form it saves, written so that it changes nothing."""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hi_mnist import files
from hi_mnist.cli import LabError
from hi_mnist.text import one_line, size

LARGEST = 10 << 20  # bytes
SHOWN_ERRORS = 5
# Excel and LibreOffice take such a cell for a formula; Chinese keyboards write the wide forms.
_FORMULA = tuple("=+-@") + ("\uff1d", "\uff0b", "\uff0d", "\uff20")


@dataclass
class Row:
    """A line of a table: its number in the file and its cells by column, stripped."""

    line: int
    cells: dict[str, str]


def read(path: Path, required: Iterable[str], optional: Iterable[str] = ()) -> tuple[list[Row], list[str]]:
    """Read a table whose first line names the columns.

    Args:
        path: UTF-8 with or without a byte order mark, UTF-16 with one, or GBK; separated by commas, semicolons or
            tabs. Without comma separators, numbers may have a decimal comma. A first line like ``sep=;`` sets the
            separator.
        required, optional: the columns; ``name`` and ``hand_in`` are always allowed.

    Returns:
        the lines that are not empty, and notes on how the file was read.

    Raises:
        LabError: the file cannot be read, a column is missing, unknown or duplicated, or a line is too long.
    """
    required, known = list(required), {*required, *optional, "name", "hand_in"}
    text, notes = _text(path)
    first = text.partition("\n")[0]
    said = re.fullmatch(r"sep=([,;\t])", first.strip("\r"), re.I)
    delimiter = said[1] if said else max(",;\t", key=first.count)
    rows, columns = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            cells = [_unquoted(cell.strip()) for cell in cells]
            if delimiter != ",":
                cells = [re.sub(r"^(-?\d+),(\d+)$", r"\1.\2", cell) for cell in cells]
            if not any(cells) or (said and reader.line_num == 1):
                continue
            if not columns:
                columns = [cell.casefold() for cell in cells]
                _check_columns(path, reader.line_num, columns, required, known)
            elif len(cells) > len(columns) and any(cells[len(columns) :]):
                raise LabError(f"{path.name}, line {reader.line_num}: {len(cells)} cells, but {len(columns)} columns")
            else:
                padded = cells + [""] * len(columns)
                rows.append(Row(reader.line_num, dict(zip(columns, padded, strict=False))))
    except csv.Error as error:
        raise LabError(f"{path.name}, line {reader.line_num}: {error}; save it as CSV once more") from None
    if not columns:
        raise LabError(f"{path.name}, line 1: the file is empty; it needs the columns {', '.join(required)}")
    return rows, notes


def _text(path: Path) -> tuple[str, list[str]]:
    try:
        if path.stat().st_size > LARGEST:
            raise LabError(f"{path} is larger than {size(LARGEST)}, too large for a class's table")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise LabError(f"there is no file {path}") from None
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "gb18030"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        notes = [f"{path.name} is not UTF-8 and was read as GBK; check the names"] if encoding == "gb18030" else []
        return text, notes
    raise LabError(f"{path} is not text; save it as CSV UTF-8")


def _unquoted(cell: str) -> str:
    """Undo what ``guarded`` did."""
    return cell[1:] if cell.startswith("'") and cell[1:].lstrip().startswith(_FORMULA) else cell


def _check_columns(path: Path, line: int, columns: list[str], required: list[str], known: set[str]) -> None:
    missing = [name for name in required if name not in columns]
    unknown = [name for name in columns if name and name not in known]
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    for what, names in (("lacks the column", missing), ("has the unknown column", unknown), ("repeats", twice)):
        if names:
            listed = ", ".join(names[:5])
            raise LabError(f"{path.name}, line {line}: it {what} {listed}; known: {', '.join(sorted(known))}")


def changed_id(value: str, known: Iterable[str]) -> str:
    """A remedy to append to a message if a spreadsheet seems to have taken an id for a number; else empty."""
    zeros = next((name for name in known if value.isdigit() and name.lstrip("0") == value.lstrip("0")), None)
    if zeros:
        return f" (did you mean {zeros}? A spreadsheet changed it; format the column as text and enter the id again)"
    if re.fullmatch(r"\d+(\.\d+)?(e\+?\d+)?", value, re.I) and not value.isdigit():
        return " (a spreadsheet changed it; format the column as text and enter the id again)"
    return ""


def refuse(path: Path, errors: list[str]) -> None:
    """Raise one ``LabError`` for all errors in a table, if there are any."""
    if errors:
        more = f"; and {len(errors) - SHOWN_ERRORS} more" if len(errors) > SHOWN_ERRORS else ""
        raise LabError(f"{path.name}, {'; '.join(errors[:SHOWN_ERRORS])}{more}; nothing was written")


def write(path: Path, columns: list[str], rows: Iterable[dict]) -> None:
    """Write a table whole or not at all, with the byte order mark that Excel needs; all cells quoted, no formulas."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([guarded(row[column]) for column in columns] for row in rows)
    files.write_text(path, "\ufeff" + text.getvalue())


def guarded(value: str | float | None) -> str:
    """A cell's text: numbers with at most four decimals, None as an empty cell, no formulas."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    text = one_line(value, 32_000)  # the maximum of a spreadsheet's cell
    return f"'{text}" if text.startswith(_FORMULA) else text


def key(name: str) -> str:
    """The form of an id or hand-in's name by which to find it after a spreadsheet changed it."""
    return " ".join(name.split()).casefold()


def called(hand_ins: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The names that the column ``student_id`` may use for hand-ins, by ``key``: their ids or their full names.

    A file that merely has another student's id as its name is not found by it: it would get that student's marks.

    Args:
        hand_ins: ids and names of the rows.
    """
    hand_ins = list(hand_ins)
    ids = {key(student_id) for student_id, _ in hand_ins}
    found: dict[str, list[str]] = {}
    for student_id, hand_in in hand_ins:
        for name in {key(student_id or hand_in), key(hand_in if "+" in hand_in else "")} - {""}:
            if student_id or name not in ids:
                found.setdefault(name, []).append(hand_in)
    return found
