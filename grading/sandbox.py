"""Run a student's code in a new process with its own folder, watched and ended from outside.

    >>> from grading import sandbox
    >>> outcome = sandbox.run("e_step", Path("submission.py").read_bytes(), {"X": X})
    >>> outcome.status, outcome.cause
    ('timeout', 'it did not end within 20 s of processor time and 30 s in all')

The child is ``python -I -B grading/worker.py BOX``. Its folder, the box, holds ``task.json``, ``submission.py``,
``inputs/NAME.npy`` and the contents of ``files``. The worker imports what it needs, makes the file ``ready`` and waits
for our file ``go``: no student code runs unwatched. It leaves ``outputs/NAME.npy`` and ``outputs/outcome.json``.

Its output is not read, and the files that it leaves are not trusted (answers.py). On Linux it runs below a guardian
(guardian.py), and in bubblewrap if that works (bubblewrap.py). processes.py watches and ends its processes.
"""

import json
import os
import secrets
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from grading import answers, bubblewrap, processes
from hi_mnist import text

WORKER = Path(__file__).with_name("worker.py")
GUARDIAN = Path(__file__).with_name("guardian.py")
POLL_SECONDS = 0.03
READY_SECONDS = 0.005  # between two checks whether the worker is ready
DISK_SECONDS = 0.5  # between two checks of the box's files
MOST_FILES = 5000  # in the box; checking more would be slow
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")  # each library's NAME_NUM_THREADS


@dataclass(frozen=True)
class Limits:
    """Limits for the code of one question."""

    cpu_seconds: float = 20.0  # processor time after the worker's own imports
    wall_seconds: float = 30.0  # from the moment the worker is ready
    start_seconds: float = 120.0  # until then; beyond it, the fault is ours
    memory: int = 3 * 2**30  # bytes, all processes together
    file_size: int = 64 * 2**20  # bytes of one file
    disk: int = 200 * 2**20  # bytes of all files that it writes
    processes: int = 32


@dataclass
class Outcome:
    """The result of a run.

    ``status`` is "done" (``arrays`` are the answers), "raised" (``error`` is {"kind": "exception" | "not_attempted" |
    "syntax" | "import" | "missing", "type": str, "text": str, "line": int | None, "trace": str}), "timeout", "memory",
    "crash", or "internal": our fault.
    """

    status: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    error: dict | None = None
    cause: str = ""  # one sentence; empty if done


def run(
    task: str,
    source: bytes,
    inputs: dict[str, np.ndarray],
    *,
    settings: dict | None = None,
    files: dict[str, bytes] | None = None,
    limits: Limits | None = None,
) -> Outcome:
    """Let the worker do one task with a student's file. Thread-safe.

    Args:
        task: the task's name for the worker.
        source: submission.py as it was handed in.
        inputs: arrays of plain numbers, by name.
        settings: JSON values for the worker.
        files: additional files of the box, by name.
        limits: None means ``Limits()``.
    """
    limits = limits or Limits()
    try:
        box = Path(os.path.realpath(tempfile.mkdtemp(prefix="lab-box-")))
    except OSError as error:
        return Outcome("internal", cause=f"no temporary folder could be made ({error.strerror})")
    try:
        _fill(box, task, source, inputs, settings or {}, files or {}, limits)
        return _run_in(box, limits)
    except OSError as error:
        return Outcome("internal", cause=f"the worker could not be started ({error.strerror or error})")
    finally:
        _remove(box)


def guards(limits: Limits | None = None) -> list[str]:
    """Sentences for the report: the limits that are enforced here, and those that cannot be."""
    limits = limits or Limits()
    sentences = [
        "Each question runs in a new process, which is ended with all its children if it exceeds "
        f"{limits.cpu_seconds:g} s of processor time, {limits.wall_seconds:g} s in all, {text.size(limits.memory)} of "
        f"memory, {text.size(limits.disk)} of files or {limits.processes} processes."
    ]
    missing = bubblewrap.unavailable()
    if missing is None:
        sentences.append(
            "bubblewrap: the code has no network, sees no other files than Python's and no other processes, "
            "and writes only into its own temporary folder."
        )
    else:
        sentences.append(
            f"Not enforced (bubblewrap {missing}): the code can use the network, and read, change and end whatever "
            "this account can."
        )
    if sys.platform == "win32":
        sentences.append(
            "Not enforced (Windows has no such limits): memory, processor time and files are only watched."
        )
    elif sys.platform == "darwin":
        sentences.append(
            "Not enforced (macOS has no such limit): memory is only watched, so code can exceed the limit for a moment."
        )
    if missing is not None and not processes.CAN_LIST_CHILDREN:
        sentences.append("Not enforced: a process that detaches itself and hides its origin may outlive its question.")
    return sentences


# --------------------------------------------------------------------------- the box


def _fill(box: Path, task: str, source: bytes, inputs: dict, settings: dict, files: dict, limits: Limits):
    for name in ("inputs", "outputs", "home", "tmp"):
        (box / name).mkdir()
    described = {"task": task, "settings": settings, "paths": bubblewrap.lost_packages(), "limits": asdict(limits)}
    (box / "task.json").write_text(json.dumps(described), encoding="utf-8")
    (box / "submission.py").write_bytes(source)
    for name, array in inputs.items():
        np.save(box / "inputs" / f"{name}.npy", np.asarray(array), allow_pickle=False)
    for name, content in files.items():
        (box / name).write_bytes(content)


def _remove(box: Path):
    """Remove a folder of any depth and any permissions.

    Every subfolder is first moved to the top, so paths stay short and nothing recurses.
    """
    for pause in (0, 0.1, 0.5):  # Windows keeps an ended process's files open for a moment
        time.sleep(pause)
        _remove_once(box)
        if not box.exists():
            return


def _remove_once(box: Path):
    mark, moved = secrets.token_hex(8), 0  # a name that nothing else has
    waiting = [box]
    while waiting:
        folder = waiting.pop()
        with suppress(OSError):
            os.chmod(folder, stat.S_IRWXU)
            for entry in list(os.scandir(folder)):
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        os.chmod(entry.path, stat.S_IRWXU)  # moving a folder needs write permission on it
                        moved += 1
                        os.rename(entry.path, box / f"{mark}-{moved}")
                        waiting.append(box / f"{mark}-{moved}")
                    else:
                        if sys.platform == "win32":
                            os.chmod(entry.path, stat.S_IWRITE)
                        os.unlink(entry.path)
            if folder != box:
                os.rmdir(folder)
    with suppress(OSError):
        os.rmdir(box)


# --------------------------------------------------------------------------- the process


def _run_in(box: Path, limits: Limits) -> Outcome:
    given, largest, _ = _disk_use(box)
    limits = replace(limits, disk=given + limits.disk, file_size=max(largest, limits.file_size))
    token = secrets.token_hex(16)
    sealed = bubblewrap.unavailable() is None
    guarded = processes.CAN_LIST_CHILDREN
    command = [sys.executable, "-I", "-B"]
    if sealed:
        command = [*bubblewrap.prefix(box, WORKER), *command, bubblewrap.WORKER, bubblewrap.BOX]
    else:
        command += [str(WORKER), str(box)]
    if guarded:
        command = [sys.executable, "-I", "-S", "-B", str(GUARDIAN), str(os.getpid()), *command]
    process = subprocess.Popen(
        command,
        cwd=box,
        env=_environment(bubblewrap.BOX if sealed else str(box), token),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    helpers = guarded + 2 * sealed  # bubblewrap runs one process outside and one inside
    tree = processes.Tree(process, helpers=helpers, token=token, box=str(box), sealed=sealed)
    try:
        status, cause = _watch(process, tree, box, limits)
    finally:
        tree.kill()
    if status:
        return Outcome(status, cause=cause)
    return _judge(box, command[-1], process.returncode, limits)


def _environment(box: str, token: str) -> dict[str, str]:
    """A clean environment, without the user's keys and settings."""
    kept = ("LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "WINDIR")  # some interpreters do not start without them
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    if os.name == "posix":
        environment["PATH"] = os.defpath
    home, temporary = os.path.join(box, "home"), os.path.join(box, "tmp")
    environment |= {"HOME": home, "USERPROFILE": home, "TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}
    environment |= {f"{library}_NUM_THREADS": "1" for library in THREADS}
    return environment | {"LANG": "C.UTF-8", processes.TOKEN: token}


def _watch(process: subprocess.Popen, tree: processes.Tree, box: Path, limits: Limits) -> tuple[str, str]:
    """Wait until the process ends by itself (two empty strings) or exceeds a limit (status, cause)."""
    cause = _why_not_ready(process, box, limits)
    if cause:
        return "internal", cause
    ready, cpu_at_start = time.monotonic(), tree.look().cpu
    (box / "go").touch()  # earlier code could remove "ready", which would look like our fault
    next_disk = 0.0
    while not _has_ended(process, POLL_SECONDS):
        usage = tree.look()
        now = time.monotonic()
        status, cause = _too_much(tree, usage, usage.cpu - cpu_at_start, now - ready, limits)
        if not status and now >= next_disk:
            next_disk = now + DISK_SECONDS
            status, cause = "crash", _too_much_on_disk(box, limits, tree.unlinked())
        if cause:
            return status, cause
    return "", ""


def _why_not_ready(process: subprocess.Popen, box: Path, limits: Limits) -> str:
    """Wait for the worker to be ready: empty if it is, else the reason why not."""
    deadline = time.monotonic() + limits.start_seconds
    while not (box / "ready").exists():
        if _has_ended(process, READY_SECONDS) and not (box / "ready").exists():
            return f"the worker did not start (exit status {process.returncode})"
        if time.monotonic() > deadline:
            return f"the worker was not ready after {limits.start_seconds:g} s"
    return ""


def _has_ended(process: subprocess.Popen, seconds: float) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is not None


def _too_much(
    tree: processes.Tree, usage: processes.Usage, cpu: float, seconds: float, limits: Limits
) -> tuple[str, str]:
    """(status, cause) if a limit is exceeded, else two empty strings."""
    if seconds > limits.wall_seconds or cpu > limits.cpu_seconds:
        return "timeout", _timeout(limits)
    if usage.processes > limits.processes:
        return "crash", f"it started more than {limits.processes} processes"
    # Forks share their memory at first: they are too many processes rather than too much memory.
    if usage.memory > limits.memory and tree.memory() > limits.memory:
        return "memory", _memory(limits)
    return "", ""


def _timeout(limits: Limits) -> str:
    """One sentence for both limits: which one is exceeded first depends on the machine's load."""
    return f"it did not end within {limits.cpu_seconds:g} s of processor time and {limits.wall_seconds:g} s in all"


def _memory(limits: Limits) -> str:
    return f"it needs more than {text.size(limits.memory)} of memory"


def _judge(box: Path, its_box: str, status: int, limits: Limits) -> Outcome:
    """The outcome of a process that ended by itself. None of its children may still run.

    Args:
        its_box: the box's path as the process saw it.
        status: the exit status as Popen or a shell reports it.
    """
    cause = _too_much_on_disk(box, limits)
    if cause:
        return Outcome("crash", cause=cause)
    number = -status if status < 0 else status - 128
    name = signal.Signals(number).name if number in {int(s) for s in signal.Signals} else None
    if name == "SIGXCPU":
        return Outcome("timeout", cause=_timeout(limits))
    ended = "the process ended by itself before it answered"
    if status != 0:
        return Outcome("crash", cause=f"{ended} ({name or f'exit status {status}'})")
    try:
        outcome = answers.read_outcome(box / "outputs" / "outcome.json")
        if outcome is None or outcome["status"] == "exit":
            return Outcome("crash", cause=ended)
        if outcome["status"] == "done":
            return Outcome("done", arrays=answers.read_arrays(box / "outputs", limits.disk))
    except answers.BadAnswer as error:
        return Outcome("crash", cause=f"it left an answer that is not an array ({error})")
    if outcome["status"] == "memory":
        return Outcome("memory", cause=_memory(limits))
    del outcome["status"]
    for key in ("text", "trace"):  # the path changes from run to run
        outcome[key] = outcome[key].replace(its_box + os.sep, "")
    return Outcome("raised", error=outcome, cause=f"{outcome['type']}: {outcome['text']}")


# --------------------------------------------------------------------------- the box's files


def _too_much_on_disk(box: Path, limits: Limits, unlinked: int = 0) -> str:
    """What is wrong with the box's files, as a sentence; empty if nothing is.

    Args:
        unlinked: bytes of open files that are no longer in any folder.
    """
    try:
        total, largest, files = _disk_use(box)
    except OSError as error:
        return f"it made files that cannot be read ({error.strerror})"
    if files > MOST_FILES:
        return f"it wrote more than {MOST_FILES} files"
    if largest > limits.file_size:
        return f"it wrote a file of more than {text.size(limits.file_size)}"
    if total + unlinked > limits.disk:
        return f"it wrote more than {text.size(limits.disk)} of files"
    return ""


def _disk_use(box: Path) -> tuple[int, int, int]:
    """Bytes of all files, bytes of the largest one, number of entries. Stops soon after ``MOST_FILES`` entries."""
    total = largest = entries = 0
    waiting = [str(box)]
    while waiting and entries <= MOST_FILES:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(waiting.pop()) as folder:
            for entry in folder:
                entries += 1
                if entries > MOST_FILES:
                    break
                with suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    size = _bytes_on_disk(entry.stat(follow_symlinks=False))
                    total, largest = total + size, max(largest, size)
    return total, largest, entries


def _bytes_on_disk(status: os.stat_result) -> int:
    return (
        status.st_blocks * 512 if hasattr(status, "st_blocks") else status.st_size
    )  # counts sparse files by the space they use
