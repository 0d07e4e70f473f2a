"""RESULTS.md: for each case a table, notes, and when and on what it was measured.

Measuring a case again replaces only its own section. The text before the first section is written by hand and is kept.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from hi_mnist import files

FOLDER = Path(__file__).resolve().parent
FILE = "RESULTS.md"
COLUMNS = ("what", "peer", "ours", "peer's", "ratio", "promised")


@dataclass
class Row:
    """One line of the results.

    Args:
        what, peer: names; ``peer`` is empty if there is nothing to compare with.
        ours, theirs: median seconds.
        target: the promised ratio to the peer's time; None for no promise.
        note: evidence that both did the same work, and what a reader must know.
    """

    what: str
    peer: str
    ours: float
    theirs: float | None = None
    target: float | None = None
    note: str = ""


def seconds(value: float | None) -> str:
    """Seconds as text for people."""
    if value is None:
        return ""
    if value < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} s" if value < 100 else f"{value:,.0f} s"


def line(row: Row) -> str:
    """A row of the table, in the order of ``COLUMNS``."""
    ratio = row.theirs and row.theirs / row.ours
    promised = f"{row.target:g}x" + ", missed" * (ratio < row.target) if ratio and row.target else ""
    times = seconds(row.ours), seconds(row.theirs), f"{ratio:.3g}x" if ratio else ""
    return _table_line(row.what, row.peer, *times, promised)


def _table_line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def section(name: str, rows: list[Row], about: str) -> str:
    """A case's part of RESULTS.md; ``about`` says on what it was measured."""
    table = [_table_line(*COLUMNS), _table_line(*("---",) * len(COLUMNS)), *map(line, rows)]
    notes = [f"- {row.what}{row.peer and ', ' + row.peer}: {row.note}" for row in rows if row.note]
    parts = [name, "\n".join(table), "\n".join(notes), f"{date.today().isoformat()}, {about}."]
    return "\n\n".join(filter(None, parts)) + "\n"


def sections(folder: Path) -> dict[str, str]:
    """The sections of a folder's RESULTS.md by case, and the text before them by the name ""."""
    page = folder / FILE
    text = page.read_text(encoding="utf-8") if page.exists() else "# Speed, side by side\n"
    head, *parts = text.split("\n## ")
    return {"": head} | {part.partition("\n")[0]: part for part in parts}


def write(folder: Path, measured: dict[str, str], order: list[str]) -> None:
    """Put measured sections into RESULTS.md, in this order of all cases; sections of other names go."""
    found = sections(folder) | measured
    files.write_text(folder / FILE, "\n## ".join(found[name] for name in ("", *order) if name in found))
