"""The texts: two languages with one structure, worked numbers that agree with the checks, and only commands, files,
links and columns that exist."""

import importlib
import re
import shlex
from fnmatch import fnmatch

import numpy as np
import pytest

from grading import checks
from grading.questions import e_step, m_step, pca_fit
from hi_mnist.files import ROOT
from labs import catalog
from staff import appeal, export, grade_class, gradebook, handout, marks, regrade, rubric, tables

STUDENT_FILES = handout.find(handout.STUDENT_FILES)
BLOCK = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
MATH = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def lines_of(text: str) -> list[str]:
    """The lines of a text's code blocks."""
    return [line for block in BLOCK.findall(text) for line in block.splitlines()]


def commands(text: str) -> list[str]:
    """The command lines of a text's blocks, comments cut off."""
    lines = [re.sub(r"\s{2,}#.*", "", line).strip() for line in lines_of(text)]
    return [line[line.index("python ") :] for line in lines if re.match(r"(\w+=\S+ )?python ", line)]


LAB = {language: read(f"docs/lab.{language}.md") for language in ("en", "zh")}
TERM = read("docs/staff.md")
GUIDE = TERM + read("docs/staff_reference.md")
PARSERS = {"merge": grade_class.build_merge_parser}
PARSERS |= {"regrade": regrade.build_parser, "repeat": appeal.build_parser, "export": export.build_parser}


def test_both_languages_have_the_same_structure():
    for what, parts in {
        "sections": lambda text: re.findall(r"^(#+ \d?(?:\.\d)?)", text, re.MULTILINE),
        "code blocks": BLOCK.findall,
        "formulas": lambda text: len(MATH.findall(text)),
        "tables": lambda text: [line.count("|") for line in text.splitlines() if line.startswith("|")],
        "links": lambda text: len(re.findall(r"\]\(", text)),
    }.items():
        assert parts(LAB["en"]) == parts(LAB["zh"]), what


@pytest.mark.parametrize("text", LAB.values(), ids=LAB)
def test_worked_numbers_are_those_of_the_checks(text):
    rng = np.random.default_rng(0)
    given = e_step.make_inputs(rng)
    gamma = e_step.softmax(e_step.log_densities(given, 0) + np.log(given["pi_0"]))
    for x, row in zip((0, 1, 4), gamma, strict=True):
        assert f"| {x} | {row[0] / row[1]:.4f} | {row[0]:.4f} | {row[1]:.4f} |" in text
    given = m_step.make_inputs(rng)
    for x, row in zip((0, 1, 4), given["gamma_0"], strict=True):
        assert f"| {x} | {row[0]:g} | {row[1]:g} |" in text
    wanted = m_step.moments(given["x_0"], given["gamma_0"])
    assert all(f"{value:.4f}" in text for value in wanted["pi"])
    assert all(f"{value:g}" in text for value in wanted["means"].ravel())
    assert all(f"= {value:.7g}" in text.replace("=\n", "= ") for value in wanted["covs"].ravel())
    x = pca_fit.make_inputs(rng)["x_0"]
    assert all("({:g}, {:g})".format(*point) in text for point in [*x, x.mean(axis=0), *(x - x.mean(axis=0))])
    values, vectors = np.linalg.eigh((x - x.mean(axis=0)).T @ (x - x.mean(axis=0)))
    assert values == pytest.approx([50, 150])
    assert "({:.4g}, {:.4g})".format(*np.abs(vectors[:, 1])) in text


@pytest.mark.parametrize("text", LAB.values(), ids=LAB)
def test_points_sum_to_a_hundred(text):
    first, *_, last = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    points = [int(row.rsplit("|", 2)[1]) for row in first.splitlines()[2:]]
    assert sum(points) == 100
    assert points[:4] == [asked.points for asked in checks.QUESTIONS.values()]
    assert sum(int(row.rsplit("|", 2)[1]) for row in last.splitlines()[2:]) == points[-1] == 30


@pytest.mark.parametrize("text", LAB.values(), ids=LAB)
def test_formulas_hold_nothing_that_markdown_eats(text):
    text = BLOCK.sub("", text)
    assert text.count("$") % 2 == 0
    for formula in MATH.findall(text):
        assert not re.search(r"\\[,;!{}\\]", formula), formula  # a backslash before punctuation is Markdown's escape
        assert formula.count("{") == formula.count("}")


def test_links_lead_to_files_that_students_have():
    texts = [name for name in STUDENT_FILES if name.endswith(".md")]
    assert len(texts) > 5
    for name in texts:
        text = handout.student_copy(name)[0].decode()
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if not re.match(r"[a-z]+:", target):
                linked = ((ROOT / name).parent / target).resolve().relative_to(ROOT).as_posix()
                assert linked in STUDENT_FILES, f"{name}: {target}"


def test_every_command_is_one_that_the_programs_take():
    inline = re.findall(r"`(python -m [^`]+)`", GUIDE)
    found = {line for text in (*LAB.values(), GUIDE) for line in commands(text)} | set(inline)
    assert len(found) > 15
    for line in sorted(found):
        words = ["1" if word == "k" else word for word in shlex.split(line)[1:]]
        name, *arguments = words[1:] if words[0] == "-m" else [words[0].removesuffix(".py"), *words[1:]]
        if name == "pip":
            assert all((ROOT / file).is_file() for file in re.findall(r"-r (\S+)", line)), line
            continue
        if name == "pytest":
            assert arguments[:1] == ["-m"] and arguments[1] in checks.QUESTIONS, line
            continue
        module = importlib.import_module(name)
        if module.__spec__.submodule_search_locations:  # python -m of a package runs its __main__.py
            module = importlib.import_module(f"{name}.__main__")
        if arguments and arguments[0] in PARSERS:
            PARSERS[arguments[0]]().parse_args(arguments[1:])
        else:
            module.build_parser().parse_args(arguments)  # a LabError names what it does not know
        assert "__main__" in read(module.__file__) and callable(module.main), line


def test_the_rehearsal_comes_first():
    first, second, *_ = commands(TERM)
    assert first.startswith("python -m pip install -r requirements")
    assert second == "python -m staff.rehearse"


def test_what_the_commands_read_and_write_is_not_committed():
    ignored = read(".gitignore").split()
    given = [word for line in commands(GUIDE) if " -m staff." in line for word in shlex.split(line)[3:]]
    names = {word for word in given if re.fullmatch(r"[a-z]\w+(\.csv|\.zip)?", word)}
    names -= {*PARSERS, *catalog.names(), "e_step", "moodle", "zero"}
    assert {"hand_ins", "grades", "first_look", "lab3", "rehearsal", "marks.csv", "roster.csv"} < names
    for name in names:
        path = f"/{name}" if "." in name else f"/{name}/"
        assert any(fnmatch(path, pattern) for pattern in ignored), name


def test_example_of_marks_is_read(tmp_path):
    lines = lines_of(GUIDE)
    start = next(i for i, line in enumerate(lines) if line.startswith("student_id,log"))
    path = tmp_path / "marks.csv"
    path.write_text("\n".join(lines[start : start + 3]) + "\n", encoding="utf-8")
    graded = [{"student_id": i, "hand_in": f"{i}+x+LAB3"} for i in ("2100000003", "2100000004")]
    found, _ = marks.read(path, gradebook.Graded("main", graded, [], [], []), rubric.load("main"))
    assert found["2100000003+x+LAB3"].points["sample_index"] == 5
    assert found["2100000004+x+LAB3"].settled
    columns = [*rubric.parts("main"), *gradebook.questions("main"), "status", "comment"]
    assert tables.read(path, ["student_id"], columns)[1] == []


def test_points_columns_files_and_statuses_are_the_programs():
    for name, points in rubric.parts("main").items():
        assert f"`{name}` (0-{points})" in " ".join(GUIDE.split())
    for name in [*gradebook.questions("main"), *(f"| {status} |" for status in gradebook.STATUSES)]:
        assert name in GUIDE, name
    assert f"`grades/{marks.TEMPLATE}`" in GUIDE
