"""The lab texts: two languages in step, numbers that the checks agree with, commands and links that lead somewhere."""

import importlib
import re
import shlex

import numpy as np
import pytest

from grading import checks
from hi_mnist.files import ROOT
from staff import handout

DOCS = ROOT / "docs"
LANGUAGES = ("en", "zh")
TEXTS = {language: (DOCS / f"lab.{language}.md").read_text(encoding="utf-8") for language in LANGUAGES}
STUDENT_FILES = handout.find(handout.STUDENT_FILES)
BLOCK = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
MATH = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$")


def commands(text: str) -> list[str]:
    """The command lines of a text, comments cut off."""
    lines = [line.split("  #")[0].strip() for block in BLOCK.findall(text) for line in block.splitlines()]
    return [line for line in lines if line.startswith("python ")]


def test_both_languages_have_the_same_structure():
    for what, parts in {
        "sections": lambda text: re.findall(r"^(#+ \d?(?:\.\d)?)", text, re.MULTILINE),
        "code blocks": BLOCK.findall,
        "formulas": lambda text: len(MATH.findall(text)),
        "tables": lambda text: [line.count("|") for line in text.splitlines() if line.startswith("|")],
        "links": lambda text: len(re.findall(r"\]\(", text)),
    }.items():
        assert parts(TEXTS["en"]) == parts(TEXTS["zh"]), what


@pytest.mark.parametrize("language", LANGUAGES)
def test_worked_numbers_are_those_of_the_checks(language):
    text = TEXTS[language]
    rng = np.random.default_rng(0)
    e_step = checks.e_step_inputs(rng)
    gamma = checks.softmax(checks.log_densities(e_step, 0) + np.log(e_step["pi_0"]))
    for x, row in zip((0, 1, 4), gamma, strict=True):
        assert f"| {x} | {row[0] / row[1]:.4f} | {row[0]:.4f} | {row[1]:.4f} |" in text
    m_step = checks.m_step_inputs(rng)
    for x, row in zip((0, 1, 4), m_step["gamma_0"], strict=True):
        assert f"| {x} | {row[0]:g} | {row[1]:g} |" in text
    wanted = checks.moments(m_step["x_0"], m_step["gamma_0"])
    assert all(f"{value:.4f}" in text for value in wanted["pi"])
    assert all(f"{value:g}" in text for value in wanted["means"].ravel())
    assert all(f"= {value:.7g}" in text.replace("=\n", "= ") for value in wanted["covs"].ravel())
    x = checks.pca_inputs(rng)["x_0"]
    assert all("({:g}, {:g})".format(*point) in text for point in [*x, x.mean(axis=0), *(x - x.mean(axis=0))])
    values, vectors = np.linalg.eigh((x - x.mean(axis=0)).T @ (x - x.mean(axis=0)))
    assert values == pytest.approx([3, 9])
    assert "({:.4f}, {:.4f})".format(*np.abs(vectors[:, 1])) in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_points_sum_to_a_hundred(language):
    first, *_, last = re.findall(r"(?:^\|.*\n)+", TEXTS[language], re.MULTILINE)
    points = [int(row.rsplit("|", 2)[1]) for row in first.splitlines()[2:]]
    assert sum(points) == 100
    assert points[:4] == [asked.points for asked in checks.QUESTIONS.values()]
    assert sum(int(row.rsplit("|", 2)[1]) for row in last.splitlines()[2:]) == points[-1] == 30


def test_every_command_is_one_that_the_scripts_take():
    for line in sorted({line for text in TEXTS.values() for line in commands(text)}):
        _, name, *arguments = shlex.split(line)
        if name == "-m":
            name, *arguments = arguments
            if name == "pytest":
                assert arguments[:1] == ["-m"] and arguments[1] in checks.QUESTIONS, line
                continue
            name += ".__main__"
        module = importlib.import_module(name.removesuffix(".py"))
        module.build_parser().parse_args(["1" if argument == "k" else argument for argument in arguments])


def test_links_lead_to_files_that_students_have():
    texts = [name for name in STUDENT_FILES if name.endswith(".md")]
    assert len(texts) > 5
    for name in texts:
        text = handout.student_copy(name)[0].decode()
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if not re.match(r"[a-z]+:", target):
                linked = ((ROOT / name).parent / target).resolve().relative_to(ROOT).as_posix()
                assert linked in STUDENT_FILES, f"{name}: {target}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_formulas_hold_nothing_that_markdown_eats(language):
    text = BLOCK.sub("", TEXTS[language])
    assert text.count("$") % 2 == 0
    for formula in MATH.findall(text):
        assert not re.search(r"\\[,;!{}\\]", formula), formula  # a backslash before punctuation is Markdown's escape
        assert formula.count("{") == formula.count("}")
