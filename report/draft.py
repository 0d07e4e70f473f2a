"""``report.md``: the skeleton of the hand-in report, filled in from the run's folder.

    python grade.py --report_draft

The text is docs/report_template.md; each line ``<!-- FILL name -->`` is replaced by a part made here. What a student
has written into report.md is never overwritten: a draft ends in a line with its own SHA-256, and is replaced only while
that still matches. ``report_print.html`` is report.md as a page, with its pictures, for the browser to print as PDF.
"""

import dataclasses
import functools
import hashlib
import math
import os
import re
from pathlib import Path
from urllib.parse import quote

from grading.scores import FIGURES
from hi_mnist import runs
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT, read_json, results_dir, write_text
from hi_mnist.projections import PROJECTIONS
from hi_mnist.runs import SavedRun, TrainConfig
from hi_mnist.text import markdown, markdown_table
from report import compare, document, report_page, sweep

FILE, PRINT = "report.md", "report_print.html"
TEMPLATE = ROOT / "docs" / "report_template.md"
_FILL = re.compile(r"^<!-- FILL (\w+) -->$", re.MULTILINE)
_MARK = re.compile(r"\n<!-- draft by grade\.py, SHA-256 of the text above: ([0-9a-f]{64}) -->\n*\Z")


def write(run: SavedRun) -> list[str]:
    """Write ``report.md`` into a run's folder, unless it holds text of the student's, and ``report_print.html``.

    It returns the names of the files written, and raises LabError if report.md or grade.json cannot be read.
    """
    text, written = own_text(run.path), [PRINT]
    if text is None:
        text, written = _draft(run), [FILE, PRINT]
        write_text(run.path / FILE, f"{text}\n<!-- draft by grade.py, SHA-256 of the text above: {_digest(text)} -->\n")
    write_text(run.path / PRINT, document.page(text, f"Lab report {run.path.name}", "zh-Hans", run.path))
    return written


def _draft(run: SavedRun) -> str:
    option = runs.run_option(run.path)
    parts = {"run": _run, "log": _log, "tuning": _tuning, "scores": _scores, "pictures": _pictures}
    parts |= {name: functools.partial(_comparison, name=name) for name in ("projections", "generators")}
    template = TEMPLATE.read_text(encoding="utf-8")
    filled = _FILL.sub(lambda place: parts[place[1]](run, option) if place[1] in parts else place[0], template)
    return filled.replace("\0", "").rstrip() + "\n"


def own_text(path: Path) -> str | None:
    """The student's text in a folder's report.md, None if it has none. Raises LabError if the file cannot be read."""
    file = path / FILE
    if not os.path.lexists(file):
        return None
    try:
        # Editors may change line ends or add a byte order mark; these do not count as edits.
        text = file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "it is not UTF-8 text"
        remedy = "save it as UTF-8, or move it out of the run's folder"
        raise LabError(f"{file} cannot be read ({cause}); {remedy}") from None
    mark = _MARK.search(text)
    return None if mark and _digest(text[: mark.start()]) == mark[1] else text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


# --------------------------------------------------------------------------- the parts


def _table(head: list[str], rows: list[list], rule: str = "---") -> str:
    """A Markdown table with escaped cells."""
    first, *others = ([markdown(cell) for cell in row] for row in (head, *rows))
    return markdown_table(first, others, rule)


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _run(run: SavedRun, option: str) -> str:
    """The settings, by the names of train.py's flags."""
    settings = {k: v for k, v in dataclasses.asdict(run.config).items() if v is not None and k != "results_path"}
    if not run.config.use_pca:
        settings["embedding_dim"] = f"{run.means.shape[1]} (the AutoEncoder's)"
    return _table(["run", run.path.name], list(settings.items()))


def _log(run: SavedRun, option: str) -> str:
    """How EM went, from trace.csv."""
    values = runs.read_trace(run.path)
    if values is None:
        return "trace.csv, the likelihood at each EM iteration, is missing or damaged."
    fall, ends = runs.fall(values), f"from {values[0]:.4f} to {values[-1]:.4f} (trace.csv)"
    said = f"EM took {len(values)} iterations (at most {run.config.max_iter}); the mean log-likelihood"
    return f"{said} went {ends}, but {fall}." if fall else f"{said} rose {ends}."


def _tuning(run: SavedRun, option: str) -> str:
    """The table of the sweep for this run, with the best row marked."""
    found = find_sweep(run)
    if found is None:
        way = "--use_pca " if run.config.use_pca else ""
        grid = "embedding_dim=5,10,20 seed=0,1" if run.config.use_pca else "seed=0,1,2"
        return f"No sweep on these data is in results/. `python train.py {way}--sweep {grid}` makes one."
    folder, rows = found
    varied = [key for key in sweep.KEYS if len({row[key] for row in rows}) > 1] or ["seed"]
    best = sweep.best_row(rows)
    body = [
        [*(row[key] for key in varied), *(_number(row[key], 3) for key in sweep.MEASURES), "best" * (row is best)]
        for row in rows
    ]
    names = [label.splitlines()[0] for label in sweep.MEASURES.values()]
    text = f"Sweep {markdown(folder.name)}:\n\n" + _table([*varied, *names, ""], body)
    if (folder / "sweep.png").is_file():
        text += f"\n\n![sweep]({_link(folder / 'sweep.png', run.path)})"
    return text


def find_sweep(run: SavedRun) -> tuple[Path, list[dict]] | None:
    """Folder and rows of the sweep that the run is part of, else of the newest with the same data and embedding."""
    files = sorted(results_dir().glob("[!.]*/sweep.csv"), key=lambda p: p.stat().st_mtime_ns, reverse=True)
    for file in (run.path.parent / "sweep.csv", *files):
        try:
            rows = sweep.read_csv(file)
            config = TrainConfig.load(file.parent / Path(rows[0]["run"]).name / "config.yaml")
        except (OSError, ValueError, KeyError, TypeError, IndexError, LabError):
            continue  # missing, or not one of our sweeps
        if (config.dataset, config.use_pca) == (run.config.dataset, run.config.use_pca):
            return file.parent, rows[: sweep.MOST_RUNS]
    return None


def _link(file: Path, start: Path) -> str:
    """A relative address, or an absolute one on another Windows drive."""
    try:
        return quote(Path(os.path.relpath(file, start)).as_posix())
    except ValueError:
        return file.as_uri()


def _scores(run: SavedRun, option: str) -> str:
    """The table of grade.json."""
    if not (run.path / "grade.json").is_file():
        return f"`python grade.py --sample_index k{option}` gives the scores."
    report = read_json(run.path / "grade.json")
    questions = report.get("questions")
    if not isinstance(questions, list) or not all(isinstance(q, dict) for q in questions):
        raise LabError(f"{run.path / 'grade.json'} holds no table of questions; run grade.py without --report_draft")
    report = report_page.checked_report(report)

    def of(score: float | None, points: float | None) -> str:
        return f"{_number(score, 2)} / {_number(points, 0)}"

    rows = [[q["label"], of(q["score"], q["points"]), q["verdict"], q["cause"][:500]] for q in report["questions"]]
    rows.append(["sum", of(report["auto_score"], report["auto_points"]), "", ""])
    scores = _table(["question", "points", "verdict", "cause"], rows)
    figures = [[label, _number(report["figures"].get(label))] for label in FIGURES.values()]
    return f"{scores}\n\nOn the test images:\n\n{_table(['measure', 'value'], figures)}"


def _pictures(run: SavedRun, option: str) -> str:
    """Links to the pictures in the folder, or the commands that draw them."""
    commands = {"true": "python visualization.py", "cluster": "python visualization.py --cluster_label"}

    def picture(name: str, text: str, command: str) -> str:
        return f"![{text}]({name})" if (run.path / name).is_file() else f"not drawn yet: `{command}{option}`"

    lines = ["| | by true digit | by cluster |", "| --- | --- | --- |"]
    for name, title in PROJECTIONS.items():
        cells = [picture(f"{kind}_{name}.png", f"{title} by {kind}", command) for kind, command in commands.items()]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    if run.config.use_pca:
        command = "python grade.py --sample_index k"
        sixes = [picture(f"{kind}_sample.png", f"a six by {kind.upper()}", command) for kind in ("gmm", "ddpm")]
        lines += ["", "| a six by the GMM | a six by the DDPM |", "| --- | --- |", f"| {' | '.join(sixes)} |"]
    return "\n".join(lines)


def _comparison(run: SavedRun, option: str, name: str) -> str:
    """One table of comparison.csv and its notes."""
    tables = compare.read(run.path)
    if tables is None:
        return f"`python visualization.py --compare{option}` measures the numbers for this question."
    table = tables[name]
    rows = [[row["label"], *row["cells"]] for row in table["rows"]]
    body = _table(["", *table["methods"]], rows, "---:")
    return "\n".join([body, "", *(f"- {markdown(note)}" for note in table["notes"])])
