"""What only one process may use at a time: lock files that name their holder, and the names of new results folders."""

import functools
import hashlib
import itertools
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hi_mnist.cli import LabError
from hi_mnist.text import one_line


class Held(LabError):
    """Another process uses it."""


@contextmanager
def lock(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file while a block runs; one that a dead process of this machine left is taken over.

    Args:
        path: the file, in a folder that exists.
        what: what is held, for the error.

    Raises:
        Held: it names the holder and the remedy.
    """
    import psutil  # only in functions: most commands hold nothing

    user, since = psutil.Process().username(), time.strftime("%Y-%m-%d %H:%M:%S")
    holder = {"owner": owner(), "host": platform.node(), "process": os.getpid(), "user": user, "since": since}
    _take(path, what, holder)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def _take(path: Path, what: str, holder: dict) -> None:
    """Make the lock file, or take it over from its dead holder, so that of several processes one succeeds."""
    while True:
        with suppress(FileExistsError):
            file = path.open("x", encoding="utf-8")
            try:
                with file:
                    json.dump(holder, file)
            except BaseException:
                path.unlink()
                raise
            return
        try:
            other, age = _read(path), time.time() - path.stat().st_mtime
        except FileNotFoundError:  # just released
            continue
        # An empty one is being written at this moment, unless the power failed then.
        if not (has_ended(other.get("owner")) if other else age > 10):
            told = "process {process} of {user} on {host}, since {since}".format_map(dict.fromkeys(holder, "?") | other)
            remedy = "wait until it ends"
            if not str(other.get("owner")).startswith(_machine()):
                remedy += f", or remove {path} if it has ended"
            raise Held(f"{what} is in use by {one_line(told)}; {remedy}")
        # Only one process can make this file and so take over from that holder.
        successor = path.with_name(f"{path.name}.{other.get('owner', 'empty')}")
        _take(successor, what, holder)
        try:
            if _read(path) == other:
                os.replace(successor, path)
                return
        finally:
            successor.unlink(missing_ok=True)


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


@contextmanager
def claimed(path: Path, default: bool) -> Iterator[Path]:
    """Keep the name of a new results folder for this process while a block makes it.

    Args:
        path: the folder.
        default: the name is ours, not the user's: if it is taken, yields ``path-2``, ``path-3``, ...

    Raises:
        Held: another process is making ``path``.
    """
    folder, name = Path(tempfile.gettempdir()), f"lab-claim-{getattr(os, 'getuid', int)()}"
    for left in folder.glob(f"{name}-*"):  # by killed processes
        with suppress(Held, OSError), lock(left, ""):
            pass
    for n in itertools.count(1):
        chosen = path if n == 1 else path.with_name(f"{path.name}-{n}")
        key = hashlib.sha256(os.fsencode(chosen)).hexdigest()[:16]
        with ExitStack() as stack:
            try:
                stack.enter_context(lock(folder / f"{name}-{key}", str(chosen)))
            except Held:
                if default:
                    continue
                raise
            if not (default and chosen.exists()):
                yield chosen
                return


# --------------------------------------------------------------------------- processes


def owner() -> str:
    """A name for this process that no other has: machine-process id-start."""
    import psutil

    return f"{_machine()}-{os.getpid()}-{_start(psutil.Process())}"


def has_ended(owner: object) -> bool:
    """Whether a process that ``owner`` named is known to be gone, even if a later one has its id."""
    import psutil

    named = re.fullmatch(r"(\w+)-(\d{1,9})-(\d{1,12})", str(owner))
    if not named or named[1] != _machine():
        return False
    try:
        if os.name == "posix":
            os.kill(int(named[2]), 0)  # psutil may not see the processes of other accounts
        process = psutil.Process(int(named[2]))
        return process.status() == psutil.STATUS_ZOMBIE or abs(_start(process) - int(named[3])) > 1
    except (ProcessLookupError, psutil.NoSuchProcess):
        return True
    except (PermissionError, psutil.Error):
        return False


@functools.cache
def _machine() -> str:
    """A name for this machine or, on Linux, this container: process ids mean something there only."""
    try:
        ids = os.readlink("/proc/self/ns/pid")
    except OSError:
        ids = ""
    return hashlib.sha256(f"{platform.node()} {ids}".encode()).hexdigest()[:8]


def _start(process) -> int:
    """When a ``psutil.Process`` started, in seconds: on Linux since the boot, else it would move with the clock."""
    import psutil

    boot = psutil.boot_time() if sys.platform == "linux" else 0  # first: older versions keep it for create_time
    return round(process.create_time() - boot)
