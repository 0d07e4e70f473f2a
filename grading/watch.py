"""A worker and everything that it started: measure what they use, and end them all."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

LINUX = os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
PATIENCE = 2.0  # seconds to end processes that keep starting others


@dataclass(frozen=True)
class Usage:
    cpu: float  # seconds of processor time, of ended processes too where the system keeps it
    memory: int  # bytes in memory; shared memory counts for each process
    tasks: int  # processes and threads
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
        """Bytes in memory; shared memory counts once, if the system reports it. Slower than ``look``."""
        total = 0
        for pid in self.processes():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                share = process.memory_info().rss
                with suppress(psutil.Error, AttributeError):  # only Linux reports the share (PSS)
                    share = process.memory_full_info().pss
                total += share
        return total

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
    """Seconds of a process and of its ended children, bytes in memory, and number of threads."""
    process = psutil.Process(pid)
    with process.oneshot():
        times, ended = process.cpu_times(), process.status() == psutil.STATUS_ZOMBIE
        of_children = sum(times[2:4]) if LINUX else 0.0
        return sum(times[:2]), of_children, process.memory_info().rss, 0 if ended else process.num_threads()


def _delay(pid: int) -> float:
    """Seconds in which the threads of a process were ready to run and had no processor."""
    total = 0
    if LINUX:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError, IndexError), open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as file:
                total += int(file.read().split()[1])
    return total / 1e9


def _lives(pid: int) -> bool:
    with suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _kill(pid: int) -> None:
    with suppress(psutil.Error, OSError):
        psutil.Process(pid).kill()


def kills_for_memory() -> int:
    """How many processes of this machine the kernel has ended for want of memory since it started; Linux only."""
    with suppress(OSError, StopIteration), open("/proc/vmstat", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("oom_kill ")).split()[1])
    return 0
