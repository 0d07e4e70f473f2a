"""The log of what people changed after grading, ``OUT_DIR/audit.csv``: lines are added, and none is ever changed.

A line says when (with the time zone), who (user@host), what (``regrade``; ``decision``: by marks.csv; ``merge``: graded
points were taken over), which student and question, old and new points (empty: open), and why.
"""

import platform
from datetime import datetime
from pathlib import Path

import psutil

from staff import tables

AUDIT = "audit.csv"
COLUMNS = ["when", "who", "what", "student", "question", "old", "new", "reason"]
Line = tuple[str, str, str, str | float | None, str | float | None, str]  # from ``what`` on


def add(out: Path, lines: list[Line]) -> None:
    """Add lines, all or none; OSError if the file cannot be written. Call it before what they tell."""
    head = [datetime.now().astimezone().isoformat(" ", "seconds"), f"{psutil.Process().username()}@{platform.node()}"]
    with (out / AUDIT).open("a+b") as file:
        size = file.tell()
        file.seek(max(0, size - 1))
        cut = "\r\n" * (file.read() not in (b"", b"\n"))  # of a killed process, or by an editor
        table = [*([] if size else [COLUMNS]), *([*head, *line] for line in lines)]
        try:
            file.write((cut + tables.as_csv(table, mark=not size)).encode())
            file.flush()
        except OSError:
            file.truncate(size)
            raise
