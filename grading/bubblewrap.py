"""bubblewrap (Linux): the worker has no network, sees no other files or processes, and can write to one folder only."""

import functools
import os
import shutil
import site
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from grading import guardian

BOX = "/box"  # where the worker sees its folder
WORKER = "/lab/worker.py"
OFF = "LAB_BUBBLEWRAP"  # environment variable: 0 switches bubblewrap off
PROBE_SECONDS = 60
# What an interpreter needs below its prefix, and the system's programs and libraries below theirs.
_PARTS = ("bin", "lib", "lib32", "lib64", "pyvenv.cfg")
_SYSTEM = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",  # Debian's BLAS is a link through this folder
    "/nix/store",
)
_probe_lock = threading.Lock()


def unavailable() -> str | None:
    """None if bubblewrap works here, else the reason, as the end of a sentence: "bubblewrap ..."."""
    if os.environ.get(OFF) == "0":
        return f"is switched off by {OFF}=0"
    if not guardian.can_list_children():
        return "needs a Linux that lists a process's children"
    with _probe_lock:
        return _probe()


@functools.cache
def _probe() -> str | None:
    if shutil.which("bwrap") is None:
        return "is not installed"
    with tempfile.TemporaryDirectory(prefix="lab-probe-") as box:
        try:
            subprocess.run(
                [*prefix(Path(box), Path(__file__)), sys.executable, "-I", "-B", "-c", "import numpy"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROBE_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stderr", None) or b"").decode("utf-8", "replace").split("\n")[-2:]
            return f"does not work here ({' '.join(said).strip() or type(error).__name__})"
    return None


def prefix(box: Path, worker: Path) -> list[str]:
    """The start of a command line that runs a command in the box.

    Args:
        box: becomes ``BOX``, the working folder and the only writable one (``/tmp`` and ``/dev/shm`` are its folders
            ``tmp`` and ``shm``, so that their content counts as the box's).
        worker: becomes ``WORKER``, read-only.
    """
    for name in ("tmp", "shm"):
        (box / name).mkdir(exist_ok=True)
    command = [shutil.which("bwrap"), "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "box"]
    command += [f"--unshare-{kind}" for kind in ("user", "pid", "net", "ipc", "uts", "cgroup-try")]
    if _can_disable_userns():
        command += ["--disable-userns"]  # in its own namespace, code could mount memory that escapes the limits
    command += ["--proc", "/proc", "--dev", "/dev"]
    command += ["--bind", str(box / "shm"), "/dev/shm"]
    command += ["--bind", str(box / "tmp"), "/tmp"]
    for path in _readable():
        command += ["--ro-bind", path, path]
    command += ["--ro-bind", str(worker), WORKER, "--bind", str(box), BOX, "--chdir", BOX]
    # A grader that runs as root owns the kernel's settings in /proc/sys, even without capabilities.
    return [*command, "--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/", "--"]


@functools.cache
def _can_disable_userns() -> bool:
    said = subprocess.run(["bwrap", "--help"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return b"--disable-userns" in said.stdout


@functools.cache
def _readable() -> tuple[str, ...]:
    """The folders and files that an interpreter needs; none is inside another."""
    prefixes = {"/", "/usr", "/usr/local", sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    wanted = {os.path.join(prefix, part) for prefix in prefixes for part in _PARTS} | set(_SYSTEM)
    wanted |= {sys.executable, *lost_packages()}
    wanted |= {os.path.realpath(path) for path in wanted}  # links resolve to absolute paths
    readable = []
    for path in sorted(filter(os.path.exists, wanted)):
        if not any(path.startswith(folder + os.sep) for folder in readable):
            readable.append(path)
    return tuple(readable)


def lost_packages() -> list[str]:
    """Package folders that this process uses but ``python -I`` ignores: the user's own and those of PYTHONPATH."""
    kept = site.getsitepackages()
    folders = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    return [path for path in folders if path not in kept and os.path.isdir(path)]
