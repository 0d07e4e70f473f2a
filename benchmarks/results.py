"""A case's results as Markdown, a section of RESULTS.md: a table, notes, and when and on what it was measured."""

from dataclasses import dataclass
from datetime import date

from hi_mnist.text import markdown_table

COLUMNS = ["what", "peer", "ours", "peer's", "ratio", "promised"]


@dataclass
class Row:
    """One line of the results."""

    what: str
    peer: str  # empty if there is nothing to compare with
    ours: float  # median seconds
    theirs: float | None = None
    target: float | None = None  # the promised ratio of both; None for no promise
    note: str = ""  # evidence that both did the same work, and what a reader must know


def seconds(value: float | None) -> str:
    """Seconds as text for people."""
    if value is None:
        return ""
    if value < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} s" if value < 100 else f"{value:,.0f} s"


def cells(row: Row) -> list[str]:
    """A row of the table, in the order of ``COLUMNS``."""
    ratio = row.theirs and row.theirs / row.ours
    promised = f"{row.target:g}x" + ", missed" * (ratio < row.target) if ratio and row.target else ""
    times = seconds(row.ours), seconds(row.theirs), f"{ratio:.3g}x" if ratio else ""
    return [row.what, row.peer, *times, promised]


def section(name: str, rows: list[Row], about: str) -> str:
    """A case's section; ``about`` says on what it was measured."""
    table = markdown_table(COLUMNS, [cells(row) for row in rows])
    notes = [f"- {row.what}{row.peer and ', ' + row.peer}: {row.note}" for row in rows if row.note]
    parts = [f"## {name}", table, "\n".join(notes), f"{date.today().isoformat()}, {about}."]
    return "\n\n".join(filter(None, parts)) + "\n"
