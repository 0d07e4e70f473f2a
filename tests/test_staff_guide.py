"""The staff guide promises only commands, files and columns that exist."""

import importlib
import re
import shlex

from grading import checks
from hi_mnist.files import ROOT
from staff import grade_class, gradebook, merge, tables

GUIDE = (ROOT / "docs" / "staff.md").read_text(encoding="utf-8")
FENCED = [line for block in re.findall(r"^```\n(.*?)^```$", GUIDE, re.M | re.S) for line in block.splitlines()]
INLINE = re.findall(r"`(python [^`]+)`", GUIDE)
COMMANDS = [line[line.index("python ") :] for line in FENCED + INLINE if re.search(r"(^|=\. )python ", line)]


def test_the_rehearsal_comes_first():
    assert COMMANDS[1] == "python -m staff.rehearse"
    assert COMMANDS[0].startswith("python -m pip install -r requirements")


def test_every_command_is_understood():
    for command in (command for command in dict.fromkeys(COMMANDS) if "-m pip" not in command):
        words = shlex.split(command)[1:]
        name, *arguments = words[1:] if words[0] == "-m" else [words[0].removesuffix(".py"), *words[1:]]
        arguments = [word if word != "k" else "3" for word in arguments]
        module = importlib.import_module(name)
        if module.__spec__.submodule_search_locations:  # python -m of a package runs its __main__.py
            module = importlib.import_module(f"{name}.__main__")
        if name == "staff.grade_class" and arguments[0] == "merge":
            grade_class.build_merge_parser().parse_args(arguments[1:])
        else:
            module.build_parser().parse_args(arguments)  # a LabError names what it does not know
        assert "__main__" in (ROOT / module.__file__).read_text(encoding="utf-8"), command
        assert callable(module.main), command


def test_what_the_commands_read_and_write_is_not_committed():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    given = [word for command in FENCED if " -m staff." in command for word in shlex.split(command)[3:]]
    names = {word for word in given if re.fullmatch(r"[a-z]+_?[a-z\d]+(\.csv)?", word)} - {"merge", "dask", "mnist"}
    assert {"hand_ins", "grades", "first_look", "lab3", "rehearsal", "marks.csv", "indices.csv"} == names
    assert {f"/{name}" if "." in name else f"/{name}/" for name in names} <= set(ignored)
    assert {"/lab3.zip", "/autograder*.zip"} <= set(ignored)


def test_a_doubt_is_settled_with_the_students_file():
    (repeated,) = [command for command in INLINE if "-m grading" in command]
    assert repeated.startswith("python -m grading PATH/OF/THE/STUDENT/submission.py ")


def test_the_guide_names_what_is_written():
    assert f"`grades/{merge.TEMPLATE}`" in GUIDE and f'"{merge.FINAL.removeprefix("## ")}"' in GUIDE
    assert "`cp -p`" in GUIDE


def test_files_that_are_installed_from_exist():
    for name in re.findall(r"-r (\S+)", GUIDE):
        assert (ROOT / name).is_file(), name


def test_example_of_marks_is_read(tmp_path):
    start = next(i for i, line in enumerate(FENCED) if line.startswith("student_id,log"))
    path = tmp_path / "marks.csv"
    path.write_text("\n".join(FENCED[start : start + 3]) + "\n", encoding="utf-8")
    graded = [{"student_id": i, "hand_in": f"{i}+x+LAB3"} for i in ("2100000003", "2100000004")]
    marks, _ = merge.read_marks(path, graded)
    assert marks["2100000003+x+LAB3"].points["sample_index"] == 5
    assert marks["2100000004+x+LAB3"].settled
    assert tables.read(path, ["student_id"], [*merge.REPORT, *merge.OPTIONAL])[1] == []


def test_points_columns_and_statuses_are_the_programs():
    for name, points in merge.REPORT.items():
        assert f"`{name}` (0-{points})" in " ".join(GUIDE.split())
    for name in [*gradebook.QUESTIONS, *(f"| {status} |" for status in gradebook.STATUSES)]:
        assert name in GUIDE, name
    assert set(checks.QUESTIONS) < set(gradebook.QUESTIONS)
