"""What one process uses at a time: locks, names of new runs, temporary folders; a killed process blocks nothing."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from datetime import datetime

import psutil
import pytest

import train
from hi_mnist import cli, files, holders, runs
from hi_mnist.files import ROOT
from hi_mnist.holders import Held, lock
from labs import shared

DEAD = 4_000_000 - 1  # above any process id in use here


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def ended() -> str:
    """The owner's name of a process of this machine that is no more."""
    machine = holders.owner().partition("-")[0]
    return f"{machine}-{next(pid for pid in range(DEAD, 0, -1) if not psutil.pid_exists(pid))}-5"


def test_a_lock_names_its_holder_and_only_a_dead_one_loses_it(tmp_path):
    path = tmp_path / "lock.json"
    with lock(path, "the folder"):
        mine = json.loads(path.read_text())
        with pytest.raises(Held) as caught, lock(path, "the folder"):
            pass
        line = cli.explain(caught.value)
        assert "\n" not in line and "remove" not in line
        for part in ("the folder", str(os.getpid()), mine["host"], mine["user"], mine["since"]):
            assert part in line
    assert not path.exists()
    machine, pid, start = holders.owner().split("-")
    for owner, is_dead in (
        (ended(), True),
        (f"{machine}-{pid}-{int(start) + 100}", True),  # a later process has its id
        (f"{machine}-{pid}-{start}", False),
        (f"00000000-{DEAD}-5", False),  # of another machine: nobody can know
        ("nonsense", False),
    ):
        path.write_text(json.dumps(mine | {"owner": owner}))
        if is_dead:
            with lock(path, "it"):
                assert json.loads(path.read_text()) == mine | {"since": json.loads(path.read_text())["since"]}
            assert list(tmp_path.iterdir()) == [], owner
            continue
        with pytest.raises(Held) as caught, lock(path, "it"):
            pass
        assert (f"remove {path}" in str(caught.value)) == (machine not in owner), owner
    for content in ("", "[]"):  # a power cut; just now, it could be a process that is about to write it
        path.write_text(content)
        with pytest.raises(Held), lock(path, "it"):
            pass
        os.utime(path, (0, 0))
        with lock(path, "it"):
            pass


def test_of_two_that_find_a_dead_holder_one_takes_over(tmp_path, monkeypatch):
    path, has_ended = tmp_path / "lock.json", holders.has_ended
    faster = json.dumps({"owner": holders.owner()})

    def overtaken(owner):  # another process takes over between two looks of ours
        is_dead = has_ended(owner)
        path.write_text(faster)
        return is_dead

    path.write_text(json.dumps({"owner": ended()}))
    monkeypatch.setattr(holders, "has_ended", overtaken)
    with pytest.raises(Held), lock(path, "it"):
        pass
    assert [left.read_text() for left in tmp_path.iterdir()] == [faster]


KILLED = """
import sys, time
sys.path.insert(0, {root!r})
from hi_mnist import files, holders, runs
with holders.lock(holders.Path({lock!r}), "it"), files.scratch("lab-box-") as folder, runs.new_run_path("run") as path:
    (folder / "file").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs zombies")
def test_after_a_kill_nothing_is_blocked_and_nothing_is_left(temporary, monkeypatch):
    path = temporary / "lock.json"
    code = KILLED.format(root=str(ROOT), lock=str(path))
    environment = os.environ | {"TMPDIR": str(temporary)}
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=temporary, env=environment)
    folder = child.stdout.readline().decode().strip()
    assert str(temporary) in folder and os.path.isdir(folder)
    monkeypatch.chdir(temporary)
    for held in (lock(path, "it"), runs.new_run_path("run")):
        with pytest.raises(Held, match=f"process {child.pid} of"), held:
            pass
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie: nobody has taken its exit status
    with lock(path, "it"), files.scratch("lab-box-") as mine, runs.new_run_path(None):
        assert {p.name for p in temporary.iterdir() if p.is_dir()} == {mine.name}
    assert list(temporary.iterdir()) == []
    child.communicate()


@pytest.mark.skipif(os.name == "nt", reason="Windows makes no links for everybody")
def test_scratch_clears_what_the_dead_left_and_nothing_else(temporary):
    outside = temporary / "outside"
    outside.mkdir()
    (outside / "file").touch()
    deep = temporary / f"lab-box-{ended()}-a"
    deep.mkdir()
    os.symlink(outside, deep / "link")
    here = os.open(deep, os.O_RDONLY)
    for _ in range(60):  # deeper than a path may be long
        os.mkdir(100 * "d", dir_fd=here)
        below = os.open(100 * "d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.chmod(here, 0)
    os.close(here)
    kept = {f"lab-box-{holders.owner()}-a", f"lab-box-00000000-{DEAD}-5-a", f"lab-boxes-{ended()}-a", "lab-box-old"}
    for name in kept:
        (temporary / name).mkdir()
    os.symlink(outside, temporary / f"lab-box-{ended()}-link")
    (temporary / f"lab-box-{ended()}-file").touch()
    kept |= {f"lab-box-{ended()}-link", f"lab-box-{ended()}-file", "outside"}
    with files.scratch("lab-box-") as folder:
        assert {path.name for path in temporary.iterdir()} == kept | {folder.name}
        (folder / "sub").mkdir(mode=0)
    assert {path.name for path in temporary.iterdir()} == kept
    assert [path.name for path in outside.iterdir()] == ["file"]


# --------------------------------------------------------------------------- the names of new runs


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
        with runs.new_run_path("named"), pytest.raises(Held, match="named is in use by process"):
            main.main([*arguments, "--results_path", "named"])
    with shared.run_path("lab", None, "mine"), pytest.raises(Held), shared.run_path("lab", None, "mine"):
        pass
