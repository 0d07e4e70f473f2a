"""A worker and everything that it started: measure what they use, and end them all."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import psutil

LINUX = os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
PAGE = os.sysconf("SC_PAGE_SIZE") if LINUX else 0
PATIENCE = 2.0  # seconds to end processes that keep starting others


@dataclass(frozen=True)
class Usage:
    cpu: float  # seconds of processor time, of ended processes too where the system keeps it
    memory: int  # bytes in memory; shared memory counts for each process
    tasks: int  # processes and threads, with those that ended and that nobody has waited for
    delay: float  # seconds in which threads were ready to run and had no processor; Linux only


class Watch:
    """What a process and its descendants use.

    The first ``helpers`` of them, our own, do not count as tasks. After ``most_tasks`` a look stops: it is slow.
    """

    def __init__(self, root: int, helpers: int, most_tasks: int):
        self.root, self.helpers, self.most_tasks = root, helpers, most_tasks
        self._own: dict[int, float] = {}

    def look(self) -> Usage:
        """What all use now, since they started."""
        spent, memory, tasks, delay = 0.0, 0, -self.helpers, 0.0
        for pid in self.processes():
            with suppress(OSError, psutil.Error):
                own, of_children, its_memory, threads = _usage(pid)
                # A parent that ignores its children's ends is not charged for them, so each is remembered.
                self._own[pid] = own
                spent, memory, tasks = spent + own + of_children, memory + its_memory, tasks + threads
                if tasks > self.most_tasks:
                    break
                delay += _delay(pid)
        return Usage(max(spent, sum(self._own.values())), memory, tasks, delay)

    def memory(self) -> int:
        """Bytes in memory; shared memory counts once, where Linux tells the shares. Slower than ``look``."""
        return sum(_share(pid) for pid in self.processes())

    def processes(self) -> list[int]:
        """Ids of the root and its descendants, parents first."""
        if not LINUX:
            with suppress(psutil.Error):
                root = psutil.Process(self.root)
                return [self.root, *(child.pid for child in root.children(recursive=True))]
            return []
        found = [self.root]
        for parent in found:  # the list grows during the loop
            with suppress(OSError):
                for told in islice(_of_threads(parent, "children"), self.most_tasks):
                    found += [int(child) for child in told.split() if int(child) not in found]
            if len(found) > self.most_tasks + self.helpers:
                break
        return found

    def end(self, sealed: bool) -> None:
        """End all: in a namespace the kernel does it with the worker, elsewhere the worker adopts orphans meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while below := [pid for pid in self.processes()[1:] if _lives(pid)]:
            for pid in below[:1] if sealed else below:
                with suppress(psutil.Error, OSError):
                    psutil.Process(pid).kill()
            if sealed or time.monotonic() > deadline:
                break
            time.sleep(0.002)


def _of_threads(pid: int, name: str) -> Iterator[bytes]:
    """The content of a file in /proc of each thread of a process; threads that end meanwhile are passed over."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with suppress(OSError), open(f"/proc/{pid}/task/{thread}/{name}", "rb") as file:
            yield file.read()


def _usage(pid: int) -> tuple[float, float, int, int]:
    """Seconds of a process and of its ended children, bytes in memory, and number of threads, ended ones too.

    On Linux, memory is that of a thread that lives: the first one of a process may end before the others.
    """
    process = psutil.Process(pid)
    with process.oneshot():
        times = process.cpu_times()
        if not LINUX:
            return sum(times[:2]), 0.0, process.memory_info().rss, process.num_threads()
    memory = next((pages for told in _of_threads(pid, "statm") if (pages := int(told.split()[1]))), 0) * PAGE
    return sum(times[:2]), sum(times[2:4]), memory, len(os.listdir(f"/proc/{pid}/task"))


def _share(pid: int) -> int:
    """Bytes in memory, of those that several processes share a part."""
    with suppress(psutil.Error, OSError):
        for told in _of_threads(pid, "smaps_rollup") if LINUX else ():
            if found := re.search(rb"^Pss: +(\d+)", told, re.M):
                return int(found[1]) * 1024
        return _usage(pid)[2]
    return 0


def _delay(pid: int) -> float:
    """Seconds in which the threads of a process were ready to run and had no processor."""
    told = _of_threads(pid, "schedstat") if LINUX else ()
    return sum(int(nanoseconds) for line in told for nanoseconds in line.split()[1:2]) / 1e9


def _lives(pid: int) -> bool:
    """Whether a process has a thread that has not ended."""
    with suppress(psutil.Error, OSError):
        if not LINUX:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        return any(told.rpartition(b")")[2].split()[0] not in (b"Z", b"X") for told in _of_threads(pid, "stat"))
    return False


def kills_for_memory() -> int:
    """How many processes of this machine the kernel has ended for want of memory since it started; Linux only."""
    with suppress(OSError, StopIteration), open("/proc/vmstat", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("oom_kill ")).split()[1])
    return 0
