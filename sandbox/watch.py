"""A worker and everything that it started: measure what they use, and end them all."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass

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

    Args:
        root: id of the process.
        helpers: number of our own processes at the top of the tree, which do not count as tasks.
        most_tasks: after so many, a look stops: threads are slow to count.
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
                for thread in os.listdir(f"/proc/{parent}/task")[: self.most_tasks]:
                    with suppress(OSError), open(f"/proc/{parent}/task/{thread}/children", "rb") as file:
                        found += [int(child) for child in file.read().split() if int(child) not in found]
            if len(found) > self.most_tasks + self.helpers:
                break
        return found

    def end(self, sealed: bool) -> None:
        """End all: in a namespace the kernel does it with the worker, elsewhere the worker adopts orphans meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while below := [pid for pid in self.processes()[1:] if _lives(pid)]:
            for pid in below[:1] if sealed else below:
                _kill(pid)
            if sealed or time.monotonic() > deadline:
                break
            time.sleep(0.002)


def _usage(pid: int) -> tuple[float, float, int, int]:
    """Seconds of a process and of its ended children, bytes in memory, and number of threads, ended ones too.

    On Linux, memory is that of a thread that lives: the first one of a process may end before the others.
    """
    process = psutil.Process(pid)
    with process.oneshot():
        times = process.cpu_times()
        if not LINUX:
            return sum(times[:2]), 0.0, process.memory_info().rss, process.num_threads()
    threads, memory = os.listdir(f"/proc/{pid}/task"), 0
    for thread in threads:
        with suppress(OSError), open(f"/proc/{pid}/task/{thread}/statm", "rb") as file:
            memory = int(file.read().split()[1]) * PAGE
        if memory:
            break
    return sum(times[:2]), sum(times[2:4]), memory, len(threads)


def _share(pid: int) -> int:
    """Bytes in memory, of those that several processes share a part."""
    with suppress(psutil.Error, OSError):
        for thread in os.listdir(f"/proc/{pid}/task") if LINUX else ():
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/smaps_rollup", "rb") as file:
                if found := [line for line in file if line.startswith(b"Pss:")]:
                    return int(found[0].split()[1]) * 1024
        return _usage(pid)[2]
    return 0


def _delay(pid: int) -> float:
    """Seconds in which the threads of a process were ready to run and had no processor."""
    total = 0
    if LINUX:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError, IndexError), open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as file:
                total += int(file.read().split()[1])
    return total / 1e9


def _lives(pid: int) -> bool:
    """Whether a process has a thread that has not ended."""
    with suppress(psutil.Error, OSError):
        if not LINUX:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/stat", "rb") as file:
                if file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X"):
                    return True
    return False


def _kill(pid: int) -> None:
    with suppress(psutil.Error, OSError):
        psutil.Process(pid).kill()


def kills_for_memory() -> int:
    """How many processes of this machine the kernel has ended for want of memory since it started; Linux only."""
    with suppress(OSError, StopIteration), open("/proc/vmstat", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("oom_kill ")).split()[1])
    return 0
