"""Run a student's code in another process, watched and ended from outside.

    >>> import sandbox
    >>> with sandbox.Box(Path("submission.py").read_bytes()) as box:
    ...     outcome = box.run("e_step", {"X": X})
    >>> outcome.status, outcome.cause
    ('timeout', 'it did not end within 20 s of processor time (it had 20 s of processor time in 31 s)')

The process is ``python -I -B sandbox/child.py``. Arrays go in through its standard input and come out through one pipe.
Its output is not read, and its answers are not trusted (answers.py). On Linux it runs in bubblewrap if that works
(bubblewrap.py): then one process serves all questions of a hand-in, each in a fork of its own; elsewhere each question
has a new one. watch.py measures what it uses.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from hi_mnist import files, text
from hi_mnist.cli import DISK_FULL
from sandbox import answers, bubblewrap, seccomp, watch
from sandbox.child import ENDED, FAULT, FILES, FRAME, LARGEST_ANSWER, LENGTH, MOST_FILES, READY

CODE = [Path(__file__).with_name(name) for name in ("child.py", "worker.py")]  # what runs in the child process
POLL_SECONDS = 0.03
IDLE_SECONDS = 60.0  # code that does next to nothing for so long is ended
BUSY_SHARE = 0.05  # of the last ``IDLE_SECONDS``; less is next to nothing
SLICE_SECONDS = 0.5  # over which work and delay are compared
WALL_FACTOR = 10  # code that takes so many times its processor time is ended
ATTEMPTS = 3  # in all, if the fault is not the code's
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")  # each library's NAME_NUM_THREADS
BY_ITSELF = "the process ended by itself before it answered"


@dataclass(frozen=True)
class Limits:
    """Limits for the code of one question."""

    cpu_seconds: float = 20.0  # processor time of all processes together
    start_seconds: float = 120.0  # until our own process is ready; beyond it, the fault is ours
    memory: int = 3 * 2**30  # bytes, all processes together
    file_size: int = 64 * 2**20  # bytes of one file
    disk: int = 200 * 2**20  # bytes of all files that it writes; under bubblewrap only
    open_files: int = 512  # of each process; the buffers of pipes and sockets are nobody's memory
    tasks: int = 64  # processes and threads

    def told(self) -> str:
        """The limits in words."""
        return (
            f"{self.cpu_seconds:g} s of processor time, {WALL_FACTOR * self.cpu_seconds:g} s in all or "
            f"{IDLE_SECONDS:g} s of idleness, {text.size(self.memory)} of memory, {text.size(self.file_size)} in a "
            f"file or {self.tasks} processes and threads"
        )


@dataclass
class Outcome:
    """The result of a question.

    ``status`` is "done" (``arrays`` are the answers), "raised" (``arrays`` are those from before, ``error`` is {"kind":
    "exception" | "not_attempted" | "syntax" | "import" | "missing", "type": str, "text": str, "line": int | None,
    "trace": str}), "timeout", "memory", "crash", or "internal": our fault, or the machine's.
    """

    status: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    error: dict | None = None
    cause: str = ""  # one sentence; empty if done


class Internal(Exception):
    """A fault that is not the submission's; the text gives the cause."""


class Died(Exception):
    """The process above a question ended before the answer."""


class Box(AbstractContextManager):
    """The sandbox of one submission; starts when it is first asked. A context manager.

    Without bubblewrap (``sealed`` is False), several threads may ask at the same time. ``seconds`` is the processor
    time of the last answer to each task.

    Args:
        source: submission.py as it was handed in.
        tasks: another lab's ``tasks.py``, a module with a dict ``TASKS``; it must not contain answers.
    """

    def __init__(self, source: bytes, tasks: bytes | None = None):
        self.sealed, self.seconds = bubblewrap.unavailable() is None, {}
        self._about = {"source": source} | ({"tasks.py": tasks} if tasks is not None else {})
        self._waiting: list[_Process] = []  # at most one that can be asked

    def __exit__(self, *_):
        while self._waiting:
            self._waiting.pop().end()

    def run(
        self,
        task: str,
        inputs: dict[str, np.ndarray],
        *,
        settings: dict | None = None,
        files: dict[str, bytes] | None = None,
        limits: Limits | None = None,
    ) -> Outcome:
        """Let the submission answer one question; what is not its own fault is tried three times in all.

        Args:
            inputs: arrays of plain numbers, by name.
            settings: JSON values for the task.
            files: additional inputs as bytes, by name.
        """
        limits = limits or Limits()
        asked = {"task": task, "settings": settings or {}}
        asked["limits"] = asdict(limits) | {"own_namespace": self.sealed and _counts_by_namespace()}
        request = _packed(inputs | (files or {}) | {"request": json.dumps(asked).encode()})
        for _ in range(ATTEMPTS):
            process, outcome, again = None, None, False
            try:
                process = self._waiting.pop() if self._waiting else _Process(self._about, self.sealed)
                outcome = process.ask(request, limits)
                self.seconds[task] = process.clock.group.look().cpu - process.clock.first.cpu
            except (Died, Internal, OSError) as error:  # by the code, if the process died each time
                status, again = "crash" if isinstance(error, Died) else "internal", True
                outcome = Outcome(status, cause=str(error))
            finally:
                if self.sealed and outcome and outcome.status in ("done", "raised"):
                    self._waiting.append(process)
                elif process:
                    process.end()
            if not again:
                break
        return outcome


def run(task: str, source: bytes, inputs: dict[str, np.ndarray], **options) -> Outcome:
    """One question in a sandbox of its own; ``options`` are those of ``Box.run``."""
    with Box(source) as box:
        return box.run(task, inputs, **options)


def guards(limits: Limits | None = None) -> list[str]:
    """Sentences for the report: the limits that are enforced here, and those that cannot be."""
    limits, missing = limits or Limits(), bubblewrap.unavailable()
    sentences = [f"Each question runs in a process of its own, ended with all its children beyond {limits.told()}."]
    if missing:
        sentences.append(
            f"Not enforced (bubblewrap {missing}): the code can use the network, fill the disk, leave processes "
            "behind, and read, change and end whatever this account can."
        )
    else:
        sentences.append(
            "bubblewrap: the code has no network, sees no other files than Python's and no other processes, "
            f"and writes only into {text.size(limits.disk)} of memory."
        )
    if not sys.platform.startswith("linux"):
        sentences.append("Not enforced (only Linux can): memory is watched, so code can exceed the limit for a moment.")
    elif not seccomp.program() or _Process.unfiltered:
        sentences.append("Not enforced (not on this machine): system calls, such as kernel keys, are not filtered.")
    return sentences


def _packed(content: dict) -> bytes:
    """Arrays and bytes as one frame for the child."""
    arrays = {k: np.frombuffer(v, np.uint8) if isinstance(v, bytes) else v for k, v in content.items()}
    blob = save({name: np.asarray(array, order="C") for name, array in arrays.items()})
    return len(blob).to_bytes(8, "little") + blob


def _counts_by_namespace() -> bool:
    """Whether RLIMIT_NPROC counts the processes of the sandbox alone: since Linux 5.14."""
    return tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2]) >= (5, 14)


def _environment(box: str, home: str) -> dict[str, str]:
    """A clean environment, without the user's keys and settings."""
    kept = ("LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "WINDIR")  # some interpreters do not start without them
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    if os.name == "posix":
        environment["PATH"] = os.defpath
    environment |= dict.fromkeys(("HOME", "USERPROFILE"), home) | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), box)
    environment |= {f"{library}_NUM_THREADS": "1" for library in THREADS} | dict.fromkeys(
        ("USER", "LOGNAME"), "student"
    )
    return environment | {"LANG": "C.UTF-8", "JOBLIB_MULTIPROCESSING": "0"}  # joblib's processes need /proc


def _full(folder: str) -> bool:
    """Whether nothing can be written into a folder, whatever the code says of it."""
    with suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(2**20))
        return False
    return True


def _told(frame: tuple | None) -> str:
    """What a child said of its fault."""
    return text.one_line(frame[2].decode("utf-8", "replace"), 300) if frame else "it ended"


class _Process:
    """One child process, ready or about to be."""

    unfiltered = False  # whether a child on this machine could not filter its system calls

    def __init__(self, about: dict, sealed: bool):
        self.sealed, self.folder, self.left = sealed, None, ExitStack()
        command = [sys.executable, "-I", "-B"]
        if sealed:
            command = [*bubblewrap.prefix(CODE, Limits.disk), *command, f"{bubblewrap.CODE}/{CODE[0].name}", "sealed"]
            environment = _environment(bubblewrap.BOX, bubblewrap.HOME)
        else:
            self.folder = str(self.left.enter_context(files.scratch("lab-box-")))
            command += [str(CODE[0]), "plain"]
            environment = _environment(self.folder, self.folder)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        alone = {"start_new_session": True, "creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}
        with ExitStack() as failed:
            failed.push(self.left)
            command += bubblewrap.lost_packages()
            self.child = subprocess.Popen(command, cwd=self.folder, env=environment, **pipes, **alone)
            failed.pop_all()
        self.frames = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        with suppress(OSError):  # it has ended, as its reader will say
            self._send(_packed(about | {"filter": seccomp.program()}))

    def _read(self) -> None:
        """Put the child's frames into a queue, and at last None."""
        stream = self.child.stdout
        while len(head := stream.read(FRAME.size)) == FRAME.size:
            kind, status, length = FRAME.unpack(head)
            self.frames.put((kind, status, stream.read(min(length, LARGEST_ANSWER + 1))))
        self.frames.put(None)

    def _send(self, frame: bytes) -> None:
        self.child.stdin.write(frame)
        self.child.stdin.flush()

    def ask(self, request: bytes, limits: Limits) -> Outcome:
        """Send a request and watch until it is answered.

        Raises:
            Internal, OSError: it was not answered, and the submission is not to blame.
        """
        try:
            frame = self.frames.get(timeout=limits.start_seconds)
        except queue.Empty:
            raise Internal(f"the child process was not ready after {limits.start_seconds:g} s") from None
        if frame is None or frame[0] != READY:
            raise Internal(f"the child process did not start ({_told(frame)})")
        _Process.unfiltered |= not frame[1]
        kills = watch.kills_for_memory()
        clock = self.clock = _Clock(watch.Watch(self.child.pid, 1 + self.sealed, limits.tasks), limits)
        self._send(request)
        while True:
            try:
                frame = self.frames.get(timeout=POLL_SECONDS)
                break
            except queue.Empty:
                if outcome := clock.look():
                    return outcome
        if frame is None and not watch.LINUX:  # the code's own process
            return _judged(self.child.wait(), b"", clock, self.folder)
        kind, status, content = frame or (None, None, b"")
        if kind == FAULT:
            raise Internal(f"the child process failed ({_told(frame)})")
        if kind in (None, ENDED) and status != 0 and watch.kills_for_memory() > kills:
            raise Internal("this machine ran out of memory")
        if kind is None:
            raise Died(f"{BY_ITSELF} (with its parent)")
        if kind == FILES:
            return Outcome("crash", cause=f"it made more than {MOST_FILES} files")
        if kind == LENGTH or len(content) > LARGEST_ANSWER:
            return Outcome("crash", cause=f"its answer has more than {text.size(LARGEST_ANSWER)}")
        outcome = _judged(status, content, clock, self.folder)
        if self.folder and outcome.status == "raised" and outcome.error["errno"] in DISK_FULL and _full(self.folder):
            raise Internal(f"this machine's disk is full ({outcome.cause})")
        return outcome

    def end(self) -> None:
        """End the process with all that it started, and remove its folder."""
        watch.Watch(self.child.pid, 1, 10**6).end(self.sealed)
        with suppress(subprocess.TimeoutExpired):
            self.child.wait(5 if self.sealed else 0)
        self.child.kill()
        self.child.wait()
        for stream in (self.child.stdin, self.child.stdout):
            with suppress(OSError):
                stream.close()
        self.left.close()


class _Clock:
    """Compares what a question uses with its limits, from now on."""

    def __init__(self, group: watch.Watch, limits: Limits):
        self.group, self.limits = group, limits
        self.start, self.first = time.monotonic(), group.look()
        self.cpu = self.wall = self.delayed = 0.0
        self.slices = [(self.start, 0.0)]  # moments, with the seconds until then that it worked or waited to work
        self.last = self.start, self.first

    def look(self) -> Outcome | None:
        """The outcome if a limit is exceeded. Raises Internal if only others, who held the processors, are to blame."""
        now, usage = time.monotonic(), self.group.look()
        if usage.tasks > self.limits.tasks:
            return Outcome("crash", cause=f"it started more than {self.limits.tasks} processes and threads")
        # Forks share their memory at first: they are too many processes rather than too much memory.
        if usage.memory > self.limits.memory and self.group.memory() > self.limits.memory:
            return Outcome("memory", cause=self.memory())
        self.cpu, self.wall = usage.cpu - self.first.cpu, now - self.start
        then, before = self.last
        if now - then >= SLICE_SECONDS:
            # Its own threads and children may wait for each other: only time in which less than one processor worked
            # for all of them together is delay that others cause.
            self.delayed += max(0.0, min(now - then - (usage.cpu - before.cpu), usage.delay - before.delay))
            self.last = now, usage
            self.slices.append((now, self.cpu + self.delayed))
            self.slices = [s for s in self.slices if s[0] >= now - IDLE_SECONDS - 2 * SLICE_SECONDS]
        seconds, busy = np.subtract(self.slices[-1], self.slices[0])
        if seconds >= IDLE_SECONDS and busy < BUSY_SHARE * IDLE_SECONDS:
            return Outcome("timeout", cause=f"it did next to nothing for {IDLE_SECONDS:g} s ({self.used()})")
        if self.cpu > self.limits.cpu_seconds:
            return Outcome("timeout", cause=self.time())
        if self.wall > WALL_FACTOR * self.limits.cpu_seconds:
            if self.delayed > self.wall / 2:
                raise Internal(f"others held the processors: {self.used()}")
            return Outcome("timeout", cause=self.time())
        return None

    def used(self) -> str:
        return f"it had {self.cpu:.0f} s of processor time in {self.wall:.0f} s"

    def time(self) -> str:
        return f"it did not end within {self.limits.cpu_seconds:g} s of processor time ({self.used()})"

    def memory(self) -> str:
        return f"it needs more than {text.size(self.limits.memory)} of memory"


def _judged(status: int, content: bytes, clock: _Clock, folder: str | None) -> Outcome:
    """The outcome of a process that ended by itself, with a status as Popen reports it, and answered ``content``.

    Its texts do not name ``folder``, whose path changes from run to run.
    """
    name = signal.Signals(-status).name if -status in {int(s) for s in signal.Signals} else None
    if name == "SIGXCPU":
        return Outcome("timeout", cause=clock.time())
    if status != 0:
        return Outcome("crash", cause=f"{BY_ITSELF} ({name or f'exit status {status}'})")
    try:
        outcome, arrays = answers.read(content) if content else ({"status": "exit"}, {})
    except answers.BadAnswer as error:
        return Outcome("crash", cause=f"it left an answer that is not an array ({error})")
    match outcome.pop("status"):
        case "exit":
            return Outcome("crash", cause=BY_ITSELF)
        case "done":
            return Outcome("done", arrays=arrays)
        case "memory":
            return Outcome("memory", cause=clock.memory())
    if folder:
        outcome |= {key: outcome[key].replace(folder + os.sep, "") for key in ("text", "trace")}
    return Outcome("raised", arrays, outcome, f"{outcome['type']}: {outcome['text']}")
