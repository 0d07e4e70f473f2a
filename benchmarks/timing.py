"""How the suite measures: alternately in one run, and memory in a separate process.

    >>> from benchmarks import timing
    >>> times = timing.alternate({"ours": ours, "theirs": theirs}, rounds=5)
    >>> median(times["theirs"]) / median(times["ours"])

Machines are noisy: other work slows both sides equally only if they take turns.
"""

import ctypes
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

import psutil

from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from hi_mnist.text import one_line

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "openTSNE", "datasets", "diffusers")
WATCH = Path(__file__).with_name("watch.py")
REST = 0.2  # seconds before each turn: BLAS and OpenMP threads keep spinning for a while after their last product
Job = Callable[[], object]


def alternate(jobs: dict[str, Job], rounds: int, warm_up: bool = True) -> dict[str, list[float]]:
    """Run the jobs in turn, A B A B ..., each on a machine at rest, and measure the wall-clock seconds of each run.

    Args:
        jobs: what to run, by name.
        rounds: number of timed runs of each.
        warm_up: first run each once, untimed: the first call imports, allocates and fills caches.

    Returns:
        name -> ``rounds`` times in seconds.
    """
    if warm_up:
        for job in jobs.values():
            job()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            time.sleep(REST)
            start = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - start)
    return times


class Finished(NamedTuple):
    """A command that succeeded.

    Args:
        seconds: wall-clock time.
        memory: peak bytes of the command or its largest child process; None if the system does not tell (Windows).
        output: what it printed.
    """

    seconds: float
    memory: float | None
    output: str


def run_command(
    arguments: Sequence[str | Path], environment: dict[str, str] | None = None, tree: Path = ROOT
) -> Finished:
    """Run a Python command in the project's folder.

    Args:
        arguments: the command line after ``python``.
        environment: variables to set for it; one set to "" is removed.
        tree: another checkout of the project.

    Raises:
        LabError: it failed; quotes the last line of standard error.
    """
    # Without what benchmarks/__init__.py sets for peers in this process: the lab's scripts set their own.
    given = {**os.environ, "GOMP_SPINCOUNT": "", **(environment or {})}
    variables = {name: value for name, value in given.items() if value != ""}
    arguments = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "spent.json"
        command = [sys.executable, "-S", str(WATCH), str(report), sys.executable, *arguments]
        done = subprocess.run(command, cwd=tree, env=variables, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            what = f"python {' '.join(arguments)}"
            raise LabError(f"{one_line(what)} failed with status {done.returncode}: {one_line(reason)}")
        return Finished(**json.loads(report.read_text(encoding="utf-8")), output=done.stdout)


def max_memory(commands: Iterable[Finished]) -> float | None:
    """The largest peak memory of some commands in bytes; None if the system does not tell."""
    return max((command.memory for command in commands if command.memory is not None), default=None)


def peak_memory(make_job: Callable[..., Job], *arguments) -> float | None:
    """Peak memory of a job beyond what was held before it began, in bytes, measured in a fresh process.

    Args:
        make_job: a function of a module, called in that process with ``arguments``; what it allocates is not counted.

    Returns:
        bytes of resident memory; None if the system does not tell (this needs Linux's /proc).

    Raises:
        LabError: the process died.
    """
    if not Path("/proc/self/clear_refs").exists():
        return None
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        try:
            return fresh.submit(_measure_memory, make_job, arguments).result()
        except BrokenProcessPool:
            raise LabError(f"measuring the memory of {make_job.__name__} failed: its process died") from None


def _measure_memory(make_job: Callable[..., Job], arguments: tuple) -> float:
    job = make_job(*arguments)
    job()  # BLAS keeps the thread pools and workspaces of its first call; they are not a cost of the data
    ctypes.CDLL(None).malloc_trim(0)  # else freed memory would be reused and not show up
    before = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    job()
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    return float(max(0, peak - before))


def machine() -> dict:
    """Processor, memory, versions, and the load before: the average number of busy processes over a minute."""
    linux = Path("/proc/cpuinfo")
    lines = linux.read_text().splitlines() if linux.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    installed = {package.name: package.version for package in distributions()}
    return {
        "processor": (names or [platform.processor() or platform.machine()])[0],
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "load_before": round(psutil.getloadavg()[0], 2),
        "versions": {"python": platform.python_version()} | {name: installed.get(name) for name in PACKAGES},
    }
