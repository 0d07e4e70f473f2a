"""A process and everything that it started: measure what they use, and end them all."""

import os
import signal
import stat
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

from grading import guardian

TOKEN = "LAB_BOX"  # environment variable that marks a worker's processes
CAN_LIST_CHILDREN = guardian.can_list_children()
WALK_SECONDS = 0.25  # between two searches of all processes, if children cannot be listed
PATIENCE = 1.0  # seconds to end processes that keep starting others
HELPER_SECONDS = 0.3  # for the guardian to end by itself; it takes longer only if it was stopped


@dataclass(frozen=True)
class Usage:
    cpu: float  # seconds of processor time, including ended processes if the system keeps it
    memory: int  # bytes in memory; shared memory counts for each process
    processes: int


class Tree:
    """A started process and its descendants.

    Args:
        root: the started process: the guardian, or the worker if there is none.
        helpers: number of our own processes in the tree: not counted, and they end by themselves after the others.
        token: value of ``LAB_BOX`` in the environment of every process of the tree, unless the process removes it.
        box: the processes' working folder. Any process in the system with this token or folder belongs to the tree.
        sealed: no process can leave the tree or end the guardian (bubblewrap), so no search elsewhere is needed.
    """

    def __init__(self, root: subprocess.Popen, *, helpers: int, token: str, box: str, sealed: bool):
        self.root, self.helpers, self.token, self.box, self.sealed = root, helpers, token, box, sealed
        self._seen: dict[int, psutil.Process] = {}
        self._spent: dict[int, float] = {}
        self._own: dict[int, float] = {}
        self._next_walk = 0.0

    def look(self) -> Usage:
        """What the tree uses now. Remembers its processes."""
        if CAN_LIST_CHILDREN:
            self._spent = {}  # Linux adds an ended child's time to its parent's, unless the parent ignores SIGCHLD
        memory = count = 0
        for process in self._living():
            with suppress(psutil.Error), process.oneshot():
                times = process.cpu_times()
                self._spent[process.pid], self._own[process.pid] = sum(times[:4]), sum(times[:2])
                memory += process.memory_info().rss
                count += 1
        return Usage(max(sum(self._spent.values()), sum(self._own.values())), memory, count - self.helpers)

    def unlinked(self) -> int:
        """Bytes of open files that are no longer in any folder, including memory files; Linux only."""
        sizes = {}
        for process in self._living():
            with suppress(OSError):
                for number in os.listdir(f"/proc/{process.pid}/fd"):
                    with suppress(OSError):
                        status = os.stat(f"/proc/{process.pid}/fd/{number}")
                        if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                            sizes[status.st_dev, status.st_ino] = 512 * status.st_blocks
        return sum(sizes.values())

    def memory(self) -> int:
        """Bytes in memory; shared memory counts once, if the system reports it. Slower than ``look``."""
        total = 0
        for process in self._living():
            with suppress(psutil.Error):
                share = process.memory_info().rss
                with suppress(psutil.Error, AttributeError):  # only Linux reports the share (PSS)
                    share = process.memory_full_info().pss
                total += share
        return total

    def kill(self):
        """End the whole tree and reap its root; does nothing if all have ended."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.root.poll()
            living = [p for p in self._living(thorough=True) if not self.helpers or p.pid != self.root.pid]
            if not living:
                break
            _kill(living)
            time.sleep(0.002)
        if self.helpers:
            with suppress(subprocess.TimeoutExpired):  # the guardian reaps the others and ends by itself
                self.root.wait(HELPER_SECONDS)
        elif hasattr(os, "killpg"):
            with suppress(OSError):
                os.killpg(self.root.pid, signal.SIGKILL)
        self.root.kill()
        self.root.wait()
        _kill(self._seen.values())
        guardian_was_killed = self.root.returncode < 0
        if not self.sealed and (guardian_was_killed or not self.helpers):
            for _ in range(10):  # a process may be starting others
                strays = self._strays()
                if not strays:
                    break
                _kill(strays)

    def _living(self, thorough: bool = False) -> list[psutil.Process]:
        """The tree's processes, the root first; ``thorough`` searches at any cost and detects reused process ids."""
        has_root = self.root.returncode is None
        if CAN_LIST_CHILDREN:
            pids = [self.root.pid, *guardian.descendants(self.root.pid)] if has_root else []
        elif thorough or time.monotonic() >= self._next_walk:
            self._next_walk = time.monotonic() + WALK_SECONDS
            pids = _descendants_by_walk(
                [self.root.pid] * has_root + [p.pid for p in self._seen.values() if p.is_running()]
            )
        else:
            pids = list(self._seen)
        processes = []
        for pid in pids:
            with suppress(psutil.Error):
                if pid not in self._seen or thorough and not self._seen[pid].is_running():
                    self._seen[pid] = psutil.Process(pid)
                processes.append(self._seen[pid])
        return processes

    def _strays(self) -> list[psutil.Process]:
        """Processes anywhere in the system that carry the token or work in the box."""
        return [process for process in psutil.process_iter() if process.pid != os.getpid() and self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if process.environ().get(TOKEN) == self.token:
                return True
            folder = process.cwd()
            return folder == self.box or folder.startswith(self.box + os.sep)
        return False


def _descendants_by_walk(roots: list[int]) -> list[int]:
    """``roots`` and all their descendants, by a search of all processes of the system."""
    found = list(dict.fromkeys(roots))
    parents = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                parents[process.pid] = process.ppid()
    for parent in found:  # the list grows during the loop
        found += [pid for pid, its_parent in parents.items() if its_parent == parent and pid not in found]
    return found


def _kill(processes):
    for process in processes:
        with suppress(psutil.Error, OSError):
            process.kill()
