"""What one process uses at a time: locks, names of new runs, temporary folders; a killed process blocks nothing."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from datetime import datetime

import pytest

import train
from hi_mnist import cli, files, runs
from hi_mnist.files import ROOT
from staff.holders import Held, lock


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_lock_names_its_holder_and_is_free_afterwards(tmp_path):
    path = tmp_path / "lock.json"
    path.write_text("[]")  # a former holder's, damaged
    for _ in range(2):
        with lock(path, "the folder"):
            mine = json.loads(path.read_text())
            with pytest.raises(Held) as caught, lock(path, "the folder"):
                pass
            line = cli.explain(caught.value)
            assert "\n" not in line
            for part in ("the folder", str(os.getpid()), mine["host"], mine["user"], mine["since"]):
                assert part in line
        assert list(tmp_path.iterdir()) == []


KILLED = """
import sys, time
sys.path.insert(0, {root!r})
from hi_mnist import files
from staff import holders
with holders.lock(holders.Path({lock!r}), "it"), files.scratch("lab-box-") as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs signals of POSIX")
def test_after_a_kill_nothing_is_blocked_and_nothing_is_left(temporary):
    path = temporary / "lock.json"
    code = KILLED.format(root=str(ROOT), lock=str(path))
    environment = os.environ | {"TMPDIR": str(temporary)}
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    folder = child.stdout.readline().decode().strip()
    with pytest.raises(Held, match=f"process {child.pid} of"), lock(path, "it"):
        pass
    with files.scratch("lab-box-"):
        assert os.path.isfile(f"{folder}/file")  # it lives
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    with lock(path, "it"), files.scratch("lab-box-") as mine:
        assert [p.name for p in temporary.iterdir() if p.is_dir()] == [mine.name]
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows makes no links for everybody")
def test_scratch_clears_what_the_dead_left_and_nothing_else(temporary):
    outside = temporary / "outside"
    outside.mkdir()
    (outside / "file").touch()
    for name in ("lab-box-dead", "lab-boxes-dead", "lab-box-live"):
        (temporary / name).mkdir()
    (temporary / "lab-box-dead" / "closed" / "deep").mkdir(parents=True)
    (temporary / "lab-box-dead" / "link").symlink_to(outside)
    (temporary / "lab-box-dead" / "closed").chmod(0)
    (temporary / "lab-box-planted").symlink_to(outside)
    for name in ("lab-box-dead", "lab-boxes-dead", "lab-box-planted"):
        (temporary / f"{name}.lock").touch()
    kept = {path.name for path in temporary.iterdir()} - {"lab-box-dead", "lab-box-dead.lock"}
    with files.held(temporary / "lab-box-live.lock"), files.scratch("lab-box-") as folder:
        names = {folder.name, f"{folder.name}.lock", "lab-box-live.lock"}
        assert {path.name for path in temporary.iterdir()} == kept | names
        (folder / "sub").mkdir(mode=0)
    assert {path.name for path in temporary.iterdir()} == kept
    assert [path.name for path in outside.iterdir()] == ["file"]


def test_every_command_takes_another_name_if_its_own_is_taken(temporary, monkeypatch):
    from labs.deep_autoencoder import __main__ as deep_autoencoder
    from labs.fashion_tutorial import __main__ as fashion_tutorial
    from labs.image_clustering import __main__ as image_clustering

    monkeypatch.setenv("LAB_HOME", str(temporary))
    monkeypatch.setattr(runs, "datetime", type("Frozen", (), {"now": lambda: datetime(2026, 1, 31, 9, 30)}))
    now, sweep = "2026-01-31_09-30-00", ["--use_pca", "--sweep", "seed=1"]
    for main, does, prefix, arguments in (
        (train, "train_one", "", ["--use_pca"]),
        (train, "train_grid", "sweep-", sweep),
        *((lab, "run", f"{lab.LAB}-", []) for lab in (deep_autoencoder, fashion_tutorial, image_clustering)),
    ):
        seen = []
        monkeypatch.setattr(main, does, lambda *given, seen=seen: seen.append(given[-1]) or 0)
        with runs.new_run_path(None, prefix) as first, runs.new_run_path(None, prefix) as second:
            assert (first.name, second.name) == (f"{prefix}{now}", f"{prefix}{now}-2")
            assert main.main(arguments) == 0
        (temporary / "results" / f"{prefix}{now}").mkdir(parents=True)
        assert main.main(arguments) == 0
        assert [path.name for path in seen] == [f"{prefix}{now}-3", f"{prefix}{now}-2"]
        assert not list((temporary / "results").glob(".*"))
