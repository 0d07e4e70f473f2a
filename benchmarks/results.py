"""The suite's results: RESULTS.json, RESULTS.md, and the speed table of the README.

    python -m benchmarks.results        rewrite the last two from benchmarks/RESULTS.json

RESULTS.json maps each case to ``{"measured", "machine", "dataset", "seconds", "rows"}``: measuring a case
again replaces only its own entry, so each says when and on what it was measured. The text before the first table of
RESULTS.md is written by hand and is kept.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.plan import Row
from hi_mnist import cli, files
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from hi_mnist.text import one_line

FOLDER = Path(__file__).resolve().parent
README = ROOT / "README.md"
BEGIN, END = "<!-- speed table: python -m benchmarks.results -->", "<!-- end of the speed table -->"
COLUMNS = ("what", "peer", "ours", "peer's", "ratio", "promised", "memory", "peer's memory")
IN_README = (  # case, what, and how the peer's name begins
    ("em", "EM iteration, N = 60,000, d = 10", "scikit-learn"),
    ("pca", "PCA.fit, 60,000 x 784 pixels of uint8, d = 10", "scikit-learn PCA, float64"),
    ("ae", "AutoEncoder, 60,000 images encoded", "the original"),
    ("chain", "both visualizations, with the t-SNE", "scikit-learn"),
    ("ddpm", "one digit, 1,000 steps, guided", "diffusers"),
)


def load(folder: Path) -> dict:
    """The entries of a folder's RESULTS.json by case; empty if there is no such file.

    Raises:
        LabError: the file was not written by this module.
    """
    path = folder / "RESULTS.json"
    if not path.exists():
        return {}
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        tables(results)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LabError(f"{path} does not hold results of this suite ({one_line(error, 120)}); move it away") from None
    return results


def entry(rows: list[Row], **facts) -> dict:
    """A case's entry for RESULTS.json."""
    return {**facts, "rows": [asdict(row) for row in rows]}


def rows_of(case: dict) -> list[Row]:
    """The rows of an entry."""
    return [Row(**fields) for fields in case["rows"]]


def seconds(value: float | None) -> str:
    """Seconds as text for people."""
    if value is None:
        return ""
    if value < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} s" if value < 100 else f"{value:,.0f} s"


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table, in the order of ``COLUMNS``."""
    ratio = "" if row.ratio is None else f"{row.ratio:.3g}x"
    promised = ""
    if row.target is not None and row.ratio is not None:
        promised = f"{row.target:g}x" + (", missed" if row.ratio < row.target else "")
    memory = ("" if value is None else f"{value / 2**20:,.0f} MiB" for value in (row.memory, row.peer_memory))
    theirs = seconds(row.theirs) + (" (saved)" if row.saved else "")
    return (row.what, row.peer, seconds(row.ours), theirs, ratio, promised, *memory)


def table(header: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ("---",) * len(header), *lines])


def tables(results: dict) -> str:
    """The part of RESULTS.md after its head: for each case a table, notes, and on what it was measured."""
    parts = []
    for name, case in results.items():
        rows, machine = rows_of(case), case["machine"]
        parts += [f"## {name}", table(COLUMNS, [cells(row) for row in rows])]
        notes = [f"- {row.what}{row.peer and ', ' + row.peer}: {row.note}" for row in rows if row.note]
        if notes:
            parts.append("\n".join(notes))
        versions = ", ".join(f"{package} {number}" for package, number in machine["versions"].items() if number)
        parts.append(
            f"{case['measured']}, {case['seconds']:.0f} s; data: {case['dataset']}; {machine['cores']} cores of "
            f"{machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}, load before "
            f"{machine['load_before']}; {versions}."
        )
    return "\n\n".join(parts) + "\n"


def readme_table(results: dict) -> str:
    """The README's five rows.

    Raises:
        LabError: one is missing.
    """
    lines = []
    for case, what, peer in IN_README:
        rows = rows_of(results[case]) if case in results else []
        found = [row for row in rows if row.what == what and row.peer.startswith(peer)]
        if not found:
            raise LabError(f"RESULTS.json has no row {what!r}; run: python -m benchmarks --only {case}")
        _, peer, ours, theirs, ratio, *_ = cells(found[0])
        lines.append((what, ours, peer, theirs, ratio))
    return table(("what", "ours", "beside it", "time", "faster"), lines)


def write_readme(results: dict, path: Path = README) -> None:
    """Write the table between its two markers."""
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    files.write_text(path, f"{before}{BEGIN}\n{readme_table(results)}\n{END}{after}")


def write(results: dict, folder: Path) -> None:
    """Write RESULTS.json and RESULTS.md in a folder; for the project's own folder, the README's table as well."""
    page = folder / "RESULTS.md"
    text = page.read_text(encoding="utf-8") if page.exists() else "# Speed, side by side\n"
    files.write_text(folder / "RESULTS.json", json.dumps(results, indent=1) + "\n")
    files.write_text(page, text.split("\n## ")[0].rstrip() + "\n\n" + tables(results))
    if folder == FOLDER:
        write_readme(results)


def main(argv: list[str] | None = None) -> int:
    cli.make_parser(
        "python -m benchmarks.results",
        "Rewrite RESULTS.md and the README's speed table from benchmarks/RESULTS.json.",
    ).parse_args(argv)
    write(load(FOLDER), FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
