"""The pages of a graded class: ``summary.html`` for staff, ``feedback.html`` for each student, and the mail merge.

    pages.write(out)                # once the class is graded
    pages.write(out, final)         # once more when it is merged, with the rows of final.csv

They are made of gradebook.json and the records alone, so they can be written again at any time. Each page is one file
that works offline and without scripts. What students wrote is escaped; their pictures come as the sandbox made them.
"""

from contextlib import suppress
from pathlib import Path

from grading.scores import FIGURES
from hi_mnist import files
from labs import catalog
from report import pages
from staff import archives, gradebook, handout, marks, statistics, tables
from staff.entries import for_student
from staff.gradebook import kept_files
from staff.statistics import Class

TEMPLATES = Path(__file__).with_name("templates")
PAGE = "feedback.html"
MAIL = ["student_id", "name", "email", "points", "total", "status", "feedback"]
LONGEST_CODE = 400  # lines of a file, shown beside another's
BAD_CLUSTERS = "Each dot is a run. High on the left: a low Davies-Bouldin index by a bad clustering."
GAP = ("\N{VERTICAL ELLIPSIS}", False)


def write(out: Path, final: list[dict] | None = None, only: str = "") -> None:
    """Write ``summary.html``, each ``feedback.html`` and ``mail_merge.csv`` into the folder of a graded class.

    ``final`` has the rows of final.csv, if the class is merged; ``only`` is the one hand-in whose page is written.
    """
    graded = Class(out, final)
    files.write_text(out / "summary.html", summary(graded))
    # Feedback of hand-ins that are gone or do not count, and in the forms of version 0.2; other files stay.
    told = {out / link(row)["address"] for row in graded.rows if row["hand_in"] in graded.records}
    for path in [*(out / "feedback").glob("*/feedback.*")]:
        if path not in told:
            path.unlink()
            with suppress(OSError):  # it holds other files
                path.parent.rmdir()
    merged, lines = {marks.called(row): row for row in final or []}, []
    for row in graded.rows:
        row, page = row | merged.get(marks.called(row), {}), ""
        if record := graded.records.get(row["hand_in"]):
            page = link(row)["address"]
        if page and only in ("", row["hand_in"]):
            (out / page).parent.mkdir(parents=True, exist_ok=True)
            files.write_text(out / page, feedback(graded, record, row))
        lines.append(row | {"points": row["auto_score"], "total": row.get("total"), "feedback": page})
    tables.write(out / "mail_merge.csv", MAIL, lines)


def link(row: dict) -> dict:
    """How a hand-in is named on a page, and the address of its feedback from the class's folder."""
    address = f"feedback/{gradebook.file_name(row['hand_in'])}/{PAGE}"
    return {"who": row["student_id"] or row["hand_in"], "address": address}


def _render(name: str, graded: Class, of: str, **values) -> str:
    values |= {"short": gradebook.given, "link": link, "shown": pages.shown}
    return pages.render(name, folder=TEMPLATES, title=catalog.load(graded.lab).title, of=of, graded=graded, **values)


def summary(graded: Class) -> str:
    """The page of the class."""
    totals, plots, by_name = graded.totals(), [], {row["hand_in"]: row for row in graded.rows}
    if len(graded.scored) >= statistics.SMALLEST:
        about = "" if graded.by_hand else "Points by program, without the report."
        plots.append(("Totals", statistics.histogram(totals, graded.totals(closed=False), graded.most), about))
        if graded.runs:
            plots.append(("Performance against accuracy", statistics.scatter(graded.runs), BAD_CLUSTERS))
    pairs = [beside(graded, [by_name[one], by_name[other]], told) for one, other, told in graded.alike]
    values = {"counted": gradebook.counted(row["status"] for row in graded.rows), "plots": plots, "pairs": pairs}
    values |= {"closed": len(totals), "quartiles": graded.quartiles}
    return _render("summary.html.j2", graded, "the class", few=statistics.SMALLEST, odd_by=statistics.ODD, **values)


def beside(graded: Class, pair: list[dict], told: str) -> dict:
    """The code of two hand-ins without what was handed out: lines, and whether the other has them, too."""

    def keys(lines: list[str]) -> list[str]:
        return ["".join(line.split()) for line in lines]

    handed_out = handout.student_copy(catalog.load(graded.lab).source.relative_to(files.ROOT).as_posix())[0]
    given, texts, sides = {"", *keys(handed_out.decode().splitlines())}, [], []
    for row in pair:
        path = kept_files(graded.out, row["hand_in"]) / "submission.py"
        text = path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
        texts.append(pages.shown(text, 100_000).splitlines()[:LONGEST_CODE])
    for row, mine, theirs in zip(pair, texts, reversed(texts), strict=True):
        both, lines = set(keys(theirs)), []
        for line, key in zip(mine, keys(mine), strict=True):
            if key not in given:
                lines.append((line, key in both))
            elif lines[-1:] != [GAP]:
                lines.append(GAP)
        sides.append({"row": row, "lines": lines})
    return {"told": told, "sides": sides}


def feedback(graded: Class, record: dict, row: dict) -> str:
    """The page of a student: what the record says, and the points of the row of the gradebook or of final.csv."""
    asked = [q | {"message": for_student(q["message"])} for q in record["questions"]]
    folder = kept_files(graded.out, row["hand_in"])
    kept = {name: folder / f"{name}.webp" for name in archives.PICTURES.values()}
    return _render(
        "feedback.html.j2",
        graded,
        row["name"] or row["hand_in"],
        record=record | {"questions": asked, "notes": [for_student(note) for note in record["notes"]]},
        row=row,
        changed=[q["id"] for q in asked if gradebook.decided(q) != row[q["id"]]],
        total=row[graded.total],
        box=graded.quartiles,
        figures=[(text, record[name]) for name, text in FIGURES.items() if record[name] is not None],
        attempts=(record["reproduced"] or {}).get("attempts", []),
        has_run=graded.lab == catalog.MAIN,
        pictures={name: pages.encoded("webp", path.read_bytes()) for name, path in kept.items() if path.is_file()},
    )
