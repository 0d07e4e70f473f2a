"""Linux: a process between the grader and the worker (or bubblewrap); all that the worker starts stays below it.

    python -I -S -B grading/guardian.py GRADER_PID COMMAND...

A process whose parent has ended belongs to the nearest "child subreaper" above it (prctl(2)). The guardian is one, so
it still finds a daemon that forked twice, opened its own session and emptied its environment. When the worker or the
grader ends (even by ``kill -9``), the guardian ends all remaining processes, and then itself.

It is needed with bubblewrap too, which ends before the last process of its namespace.

It runs without site-packages: use only the standard library here.
"""

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def can_list_children() -> bool:
    """Whether this kernel lists a process's children; otherwise all processes of the system must be searched."""
    return os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def descendants(root: int) -> list[int]:
    """Process ids below ``root``, parents first, without ended ones that are still to be reaped."""
    found, unseen = [], [root]
    while unseen:
        parent = unseen.pop()
        children = [child for child in _children(parent) if child not in found]
        found += children
        unseen += children
    return [pid for pid in found if not _has_ended(pid)]


def _children(pid: int) -> list[int]:
    children = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
    return children


def _has_ended(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):
        return True


def finish(status: int):
    """End every descendant, reap them all, and exit with ``status`` as Popen reports it, signals as 128 + number."""
    while True:
        for pid in descendants(os.getpid()):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:  # nobody is left
            os._exit(status if status >= 0 else 128 - status)
        time.sleep(0.001)


def main(grader: int, command: list[str]):
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: finish(-signal.SIGTERM))
    prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != grader:  # it ended before we asked for the signal
        os._exit(1)
    worker = os.fork()
    if worker == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)  # killing the guardian ends the worker
            os.setsid()  # killing the worker's process group spares the guardian
            os.execv(command[0], command)
        finally:
            os._exit(127)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == worker:
            finish(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
