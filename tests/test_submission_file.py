"""The file submission.py, solved and as handed out: short, tasks near the top, few imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from labs.catalog import MAIN_REGIONS
from staff.handout import strip_solution

SOLVED = Path(__file__).resolve().parent.parent / "submission.py"
TEXTS = {
    "solved": SOLVED.read_text(encoding="utf-8"),
    "handed out": strip_solution(SOLVED.read_text(encoding="utf-8"), SOLVED.name)[0],
}
IMPORT = """
import sys

class Refuse:
    def find_spec(name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names | {"numpy", "scipy", "PIL", "submission"} and top[0] != "_":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse)
import submission
submission.GMM(2, 2), submission.PCA(2)
"""


@pytest.mark.parametrize("kind, longest", [("solved", 300), ("handed out", 230)])
def test_it_is_read_in_one_sitting(kind, longest):
    lines = TEXTS[kind].splitlines()
    assert len(lines) <= longest
    tasks = [n for n, line in enumerate(lines, start=1) if line.strip().startswith("# BEGIN_YOUR_CODE")]
    assert len(tasks) == len(MAIN_REGIONS)
    assert tasks[0] < 60
    (given,) = (n for n, line in enumerate(lines, start=1) if line.startswith("# ---") and "given" in line)
    assert given > tasks[-1]  # classes first, plumbing last


@pytest.mark.parametrize("kind", TEXTS)
def test_an_import_needs_numpy_scipy_and_pillow_only(kind, tmp_path):
    (tmp_path / "submission.py").write_text(TEXTS[kind], encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", IMPORT], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
