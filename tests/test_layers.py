"""The layers of the project: a module imports only from its own layer and lower ones, and there are no cycles."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

from hi_mnist.files import ROOT

SCRIPTS = ("train", "visualization", "grade", "load_resources")
# From the bottom up. The first part of a module's name gives its layer; modules of one layer may import each other.
# ``python -m grading`` is a script: it knows all labs, and nothing imports it.
LAYERS = [("model", "submission"), ("hi_mnist",), ("sandbox",), ("grading",), ("report", "labs")]
LAYERS += [(*SCRIPTS, "staff", "benchmarks")]
FLOOR = {name: floor for floor, names in enumerate(LAYERS) for name in names}
FACES = {"utils"}  # for people outside
SCRIPTS = {*SCRIPTS, "grading.__main__"}


def floor(name: str) -> int:
    return FLOOR["train"] if name in SCRIPTS else FLOOR[name.split(".")[0]]


def modules() -> dict[str, Path]:
    """All modules of the project except the tests, by dotted name."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] in FLOOR or parts[0] in FACES:
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(path: Path) -> set[str]:
    """The project's modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names & MODULES.keys()


IMPORTS = {name: imported(path) - {name} for name, path in MODULES.items()}  # a package imports from itself


def test_no_module_imports_from_a_higher_layer_or_a_script_or_the_face():
    assert len(IMPORTS) > 50
    for name, below in IMPORTS.items():
        for other in below:
            assert other not in FACES and other not in SCRIPTS, f"{name} imports {other}"
            if name not in FACES:
                assert floor(other) <= floor(name), f"{name} imports {other} above it"


def test_there_is_no_circle():
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    TopologicalSorter({name: below - packages for name, below in IMPORTS.items()}).prepare()


def test_students_code_is_imported_by_training_alone():
    importers = {name for name, below in IMPORTS.items() if "submission" in below}
    # The benchmarks measure it, and nothing that a student or the staff runs goes through them.
    assert {name for name in importers if not name.startswith("benchmarks")} == {"hi_mnist.training"}
