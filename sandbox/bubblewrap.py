"""bubblewrap (Linux): no network, no files but Python's, no other processes, one place to write of bounded size."""

import functools
import importlib.util
import os
import shutil
import site
import subprocess
import sys
import threading
from pathlib import Path

from hi_mnist.cli import LabError

CODE = "/lab"  # where the child process sees its own files
BOX, HOME, SHARED = "/tmp/box", "/tmp/home", "/tmp/shm"
OFF = "LAB_BUBBLEWRAP"  # environment variable: 0 switches bubblewrap off
PROBE_SECONDS = 60
WHERE = "grade on a Linux where it works (docs/staff_reference.md)"
REMEDY = f"{WHERE}, or accept with --unsandboxed that code can do what you can"
# What the child process imports, and what submissions may.
PACKAGES = ("numpy", "scipy", "sklearn", "joblib", "threadpoolctl", "PIL", "safetensors", "torch")
# What an interpreter needs below its prefix, and the system's programs and libraries below theirs.
_PARTS = ("bin", "lib", "lib32", "lib64", "pyvenv.cfg")
# Debian's BLAS is a link through /etc/alternatives.
_SYSTEM = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/nix/store")
_probe_lock = threading.Lock()


def require() -> None:
    """Raise a ``LabError`` with a remedy unless bubblewrap works here."""
    if missing := unavailable():
        raise LabError(f"bubblewrap {missing}: {REMEDY}")


def unavailable() -> str | None:
    """None if bubblewrap works here, else the reason, as the end of a sentence: "bubblewrap ..."."""
    if os.environ.get(OFF) == "0":
        return f"is switched off by {OFF}=0"
    with _probe_lock:
        return _probe()


@functools.cache
def _probe() -> str | None:
    if shutil.which("bwrap") is None:
        return "is not installed"
    command = [*prefix([], 4096), sys.executable, "-I", "-S", "-B", "-c", ""]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode("utf-8", "replace").split("\n")[-2:]
        return f"does not work here ({' '.join(said).strip() or type(error).__name__})"
    return None


def prefix(code: list[Path], size: int) -> list[str]:
    """The start of a command line that runs a command as the first process of a new sandbox.

    No ``/proc`` is mounted: it would show the grader's kernel keys, command line and mounts. The command is process 1
    itself, because bubblewrap's own would hold the grader's pipes and environment.

    Args:
        code: files that become ``CODE/NAME``, read-only.
        size: bytes of the only place to write, a file system in memory at ``/tmp``; ``BOX`` is the working folder.
    """
    command = [shutil.which("bwrap"), "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"]
    command += [f"--unshare-{kind}" for kind in ("user", "pid", "net", "ipc", "uts", "cgroup-try")]
    command += ["--disable-userns", "--hostname", "box"]  # in its own namespace, code could mount more memory
    command += ["--perms", "1777", "--size", str(size), "--tmpfs", "/tmp"]
    command += [word for folder in (BOX, HOME, SHARED) for word in ("--dir", folder)]
    command += ["--symlink", BOX, "/box", "--size", "4096", "--tmpfs", "/dev", "--symlink", SHARED, "/dev/shm"]
    for name in ("null", "zero", "full", "random", "urandom"):
        command += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for path in _readable():
        command += ["--ro-bind", path, path]
    for path in code:
        command += ["--ro-bind", str(path), f"{CODE}/{path.name}"]
    return [*command, "--chdir", BOX, "--remount-ro", "/dev", "--remount-ro", "/", "--"]


@functools.cache
def _readable() -> tuple[str, ...]:
    """The folders and files that an interpreter needs; none is inside another."""
    prefixes = {"/", "/usr", "/usr/local", sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    wanted = {os.path.join(prefix, part) for prefix in prefixes for part in _PARTS} | set(_SYSTEM)
    wanted |= {sys.executable, *lost_packages()}
    wanted |= {os.path.realpath(path) for path in wanted}  # links resolve to absolute paths
    there = sorted(filter(os.path.exists, wanted))
    return tuple(path for path in there if not any(path.startswith(folder + os.sep) for folder in there))


@functools.cache
def lost_packages() -> tuple[str, ...]:
    """Folders with ``PACKAGES`` that ``python -I`` ignores: the user's own and those of PYTHONPATH."""
    found = [spec.origin for name in PACKAGES if (spec := importlib.util.find_spec(name)) and spec.origin]
    folders = dict.fromkeys(str(Path(origin).parents[1]) for origin in found)
    return tuple(folder for folder in folders if folder not in site.getsitepackages())
