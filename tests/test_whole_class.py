"""A class of forty with two hostile hand-ins: no other row changes, a killed grading loses nothing, nothing is left."""

import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import handins
import psutil
import pytest
from conftest import wait_until
from small_class import UNSANDBOXED, table, zipped

from hi_mnist.files import ROOT

# Fills the disk, the memory, the table of processes and files, each in a question of its own; the other one takes time.
GREEDY = {
    "1.1 E-step": """
for i in range(99):
    os.posix_fallocate(os.open(f"/tmp/{i}", os.O_CREAT | os.O_RDWR), 0, 50_000_000)
# ZEROS
""",
    "1.2 M-step": "kept = [np.ones(2**22) for _ in range(200)]\n",
    "2.1 PCA": "import time\nfor _ in range(7):\n    os.fork()\ntime.sleep(30)\nos._exit(0)\n",
    "5.1 sampling": "for i in range(100_000):\n    open(f'/tmp/{i}', 'w').close()\n",
}
SLOW = dict.fromkeys(
    GREEDY, "import time\nend = time.process_time() + 60\nwhile time.process_time() < end:\n    pass\n"
)


def hostile(regions: dict[str, str]) -> bytes:
    return handins.Case("hostile/of the class", "", {}, regions, {}, {}).source()


def make_class(folder: Path) -> None:
    """38 honest hand-ins: right, wrong, and packed in odd ways."""
    folder.mkdir()
    cases = [case for case in handins.every("correct", "wrong") if "TIMEOUT" not in str(case.expected)][::4][:30]
    for i, case in enumerate(cases):
        zipped(folder / f"PB{i:02}+Ann+LAB3.zip", {"submission.py": case.source(), "report.pdf": b"%PDF"})
    right = handins.SOLVED.read_bytes()
    (folder / "PB50+Ann+LAB3").mkdir()
    (folder / "PB50+Ann+LAB3" / "submission.py").write_bytes(right)
    (folder / "lee_LATE_12_34_PB51+Ann+LAB3").mkdir()
    zipped(folder / "lee_LATE_12_34_PB51+Ann+LAB3" / "work.zip", {"lab/submission.py": right})
    zipped(folder / "PB52+林一+LAB3.zip", {"work\\submission.py": right})
    zipped(folder / "PB53+'=1+1+LAB3.zip", {"submission.py": right})
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("submission.py", right)
    zipped(folder / "PB54+Ann+LAB3.zip", {"lab3.zip": inner.getvalue()})
    zipped(folder / "PB55+Ann+LAB3.zip", {"submission (1).py": right})
    (folder / "PB56+Ann+LAB3.zip").write_bytes(b"")
    (folder / "PB57+Ann+LAB3.zip").write_bytes(b"PK\3\4 damaged")


def command(folder: Path, out: Path, *options: str) -> list[str]:
    fixed = ["--out", str(out), "--dataset", "digits", "--seed", "5", "--jobs", "2", *UNSANDBOXED]
    return [sys.executable, "-m", "staff.grade_class", str(folder), *fixed, *options]


def rows(out: Path) -> dict[str, dict]:
    return {row["hand_in"]: row for row in table(out / "gradebook.csv")}


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the guide grades classes on Linux")
@pytest.mark.skipif(bool(UNSANDBOXED), reason="needs bubblewrap")
def test_hostile_hand_ins_change_no_other_row_and_a_killed_grading_loses_nothing(tmp_path, standin):
    folder, temporary = tmp_path / "hand_ins", tmp_path / "tmp"
    make_class(folder)
    temporary.mkdir()
    options = {"cwd": ROOT, "env": os.environ | {"TMPDIR": str(temporary)}, "stdout": subprocess.DEVNULL}
    subprocess.run(command(folder, tmp_path / "honest"), check=True, **options)
    honest = rows(tmp_path / "honest")
    assert len(honest) == 38

    for name, regions in {"PA1": GREEDY, "PA2": SLOW}.items():
        zipped(folder / f"{name}+Eve+LAB3.zip", {"submission.py": hostile(regions), "report.pdf": b"%PDF"})
    out = tmp_path / "out"
    grading = subprocess.Popen(command(folder, out), start_new_session=True, **options)
    wait_until(lambda: len(list((out / "records").glob("*.json"))) >= 8)
    started = [grading, *psutil.Process(grading.pid).children(recursive=True)]
    grading.send_signal(signal.SIGKILL)
    grading.wait()
    _, left = psutil.wait_procs(started[1:], 20)
    assert not left
    kept = {path.name: path.read_bytes() for path in (out / "records").glob("*.json") if not path.name.startswith(".")}
    # Graded under the same key, and none of what was done is done again.
    subprocess.run(command(folder, out, "--resume"), check=True, **options)
    assert all((out / "records" / name).read_bytes() == content for name, content in kept.items())
    graded = rows(out)
    assert {name: row for name, row in graded.items() if "Eve" not in name} == honest
    greedy, slow = (graded[f"{name}+Eve+LAB3"] for name in ("PA1", "PA2"))
    for row in (greedy, slow):
        assert [row[name] for name in ("e_step", "m_step", "pca_fit", "sample_from_gmm")] == ["0"] * 4
    assert not list(temporary.glob("lab-*"))
