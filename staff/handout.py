"""Make the student's copy of the lab from the solved source.

    python -m staff.handout OUT_DIR            a new folder with the student's tree
    python -m staff.handout OUT_DIR --zip      and OUT_DIR.zip beside it

In Python files, the text between BEGIN_YOUR_CODE and END_YOUR_CODE becomes one ``raise NotImplementedError`` with the
task's label, and the text between BEGIN_SOLUTION_ONLY and END_SOLUTION_ONLY is removed. In Markdown files, the text
between BEGIN_STAFF_ONLY and END_STAFF_ONLY is removed. Wrong markers are errors: better no handout than answers in it.
"""

import argparse
import functools
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from hi_mnist import cli
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT, atomic_path, check_new_folder, new_folder, write_text
from labs import catalog
from report import document

# What goes to students, and nothing else. A pattern without a match is an error; hidden files are named in full.
STUDENT_FILES = [
    ".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "requirements.txt", "requirements.lock",
    "submission.py", "train.py", "visualization.py", "grade.py", "load_resources.py", "model.py", "utils.py",
    "lab.ipynb",
    "hi_mnist/*.py", "sandbox/*.py", "grading/*.py", "grading/*/*.py",
    "report/*.py", "report/templates/*.j2", "report/templates/*.css",
    "labs/*.py", "labs/*/*.py", "labs/*/README*.md", "labs/*/report_template*.md", "labs/*/*.ipynb",
    "docs/lab.*.md", "docs/report_template.md", "docs/gallery/*",
    "pretrained/*/README.md", "pretrained/*/*.png", "pretrained/*/config.json", "pretrained/*/model.safetensors",
    "results/README.md", "tests/test_submission.py",
]  # fmt: skip
# What grading needs.
GRADING_FILES = ["submission.py", "hi_mnist/*.py", "sandbox/*.py", "grading/*.py", "grading/*/*.py"]
GRADING_FILES += ["labs/__init__.py", "labs/catalog.py"]
LONGEST_REGION = 25  # lines; a longer task should be split
_MARKER_LIKE = re.compile(r"\s*(#|<!--)\s*(BEGIN|END)_[A-Z]")
_PYTHON_LINE = re.compile(
    r"(?P<indent> *)# (?P<edge>BEGIN|END)_(?P<kind>YOUR_CODE|SOLUTION_ONLY|STAFF_ONLY)(?: (?P<label>\S.*))?"
)
_MARKDOWN_LINE = re.compile(r"<!-- (?P<edge>BEGIN|END)_(?P<kind>STAFF_ONLY) -->(?P<label>)(?P<indent>)")


@functools.cache
def regions() -> dict[str, str]:
    """What is to be done in each region, by its label, of all labs."""
    return {label: task for name in catalog.names() for label, task in catalog.load(name).regions.items()}


def strip_solution(text: str, name: str) -> tuple[str, list[str]]:
    """The student's text of the solved file ``name``, and the labels of its tasks. LabError: a marker is wrong."""
    form = _MARKDOWN_LINE if name.endswith(".md") else _PYTHON_LINE
    known, kept, labels, opened = regions(), [], [], None
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        where = f"{name}, line {number}"
        marker = form.fullmatch(line.rstrip("\r\n"))
        if marker is None:
            if _MARKER_LIKE.match(line):
                raise LabError(f"{where}: malformed marker {line.strip()!r}")
            if opened is None:
                kept.append(line)
            continue
        kind, label = marker["kind"], marker["label"]
        if kind == "YOUR_CODE":
            kept.append(line)
        if marker["edge"] == "BEGIN":
            if opened is not None:
                raise LabError(f"{where}: a region opens inside the one that starts in line {opened[1]}")
            opened = (kind, number)
            if kind == "YOUR_CODE":
                if label not in known:
                    raise LabError(f"{where}: there is no task {label!r}; known are {', '.join(known)}")
                labels.append(label)
                kept.append(f'{marker["indent"]}raise NotImplementedError("{label}: {known[label]}")\n')
        else:
            if opened is None or opened[0] != kind:
                raise LabError(f"{where}: END_{kind} closes nothing")
            if kind == "YOUR_CODE" and number - opened[1] - 1 > LONGEST_REGION:
                raise LabError(f"{where}: the region has more than {LONGEST_REGION} lines; move a part into a helper")
            opened = None
    if opened is not None:
        raise LabError(f"{name}: the region that starts in line {opened[1]} is never closed")
    # A removed helper leaves two blank lines where there should be one.
    return re.sub(r"\n\n\n(?=    )", "\n\n", "".join(kept)), labels


def find(patterns: list[str], source: Path = ROOT) -> list[str]:
    """The files that match the patterns, sorted, as paths relative to ``source`` with ``/``. LabError: one has none."""
    found = {pattern: [p for p in source.glob(pattern) if p.is_file()] for pattern in patterns}
    if missing := [pattern for pattern in patterns if not found[pattern]]:
        raise LabError(f"the source {source} lacks {', '.join(missing)}; restore them or fix staff/handout.py")
    visible = [p for pattern in patterns for p in found[pattern] if p.name[0] != "." or p.name == pattern]
    return sorted({path.relative_to(source).as_posix() for path in visible})


def student_copy(name: str, source: Path = ROOT) -> tuple[bytes, list[str]]:
    """A file as students get it, and the labels of its tasks. Raises as ``strip_solution`` does."""
    content = (source / name).read_bytes()
    if not name.endswith((".py", ".md", ".toml", ".txt")):
        return content, []
    text, labels = strip_solution(content.decode().replace("\r\n", "\n"), name)
    return text.encode(), labels


def make_handout(out: Path, source: Path = ROOT) -> list[str]:
    """Write the student's tree into the new folder ``out``, whole or not at all; returns the files' names, sorted.

    LabError: a file is missing, a marker is wrong, a task is missing or duplicated, or ``out`` is not empty.
    """
    check_new_folder(out)
    names, tasks = find(STUDENT_FILES, source), []
    with new_folder(out) as folder:
        for name in names:
            content, labels = student_copy(name, source)
            tasks += labels
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        if sorted(tasks) != sorted(regions()):
            raise LabError(f"the source holds the tasks {sorted(tasks)}, the labs have {sorted(regions())}")
        return sorted(names + lab_pages(folder))


def lab_pages(folder: Path) -> list[str]:
    """Make a page of each lab text in the handout, if latex2mathml is there for its formulas; returns their names."""
    if not find_spec("latex2mathml"):
        return []
    from latex2mathml.converter import convert

    pages = []
    for path in sorted(folder.glob("docs/lab.*.md")):
        text = re.sub(r"\(lab\.(\w+)\.md\)", r"(lab.\1.html)", path.read_text(encoding="utf-8"))
        title, language = text.partition("\n")[0].strip("# "), path.stem.removeprefix("lab.").replace("zh", "zh-Hans")
        page = document.page(text, title, language, formula=lambda tex, kind: convert(tex, display=kind))
        write_text(path.with_suffix(".html"), page)
        pages.append(f"docs/{path.stem}.html")
    return pages


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("python -m staff.handout", "Make the student's copy of the lab from the solved source.")
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="folder to make, new or empty")
    parser.add_argument("--zip", action="store_true", help="write OUT_DIR.zip as well")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    out = args.out.expanduser().resolve()
    archive = out.with_name(out.name + ".zip")
    if args.zip and archive.exists():
        raise LabError(f"{archive} exists and is not overwritten; remove it or name another folder")
    files = make_handout(out)
    print(f"wrote {len(files)} files into {out}")
    if "docs/lab.en.html" not in files:
        print("the lab text has no HTML pages: they need latex2mathml, see requirements-extra.txt")
    if args.zip:
        with atomic_path(archive) as partial:
            shutil.make_archive(str(partial.with_suffix("")), "zip", out.parent, out.name)
        print(f"wrote {archive}")
    print("next: give it to the class; submission.py is the only file that they edit")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
