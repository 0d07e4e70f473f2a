"""How the suite measures: alternately in one run, because other work slows both sides equally only if they take turns.

>>> times = timing.alternate({"ours": ours, "theirs": theirs}, rounds=5)
>>> times["theirs"] / times["ours"]
"""

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from hi_mnist.cli import LabError
from hi_mnist.data import load_split
from hi_mnist.files import ROOT
from hi_mnist.text import one_line

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "openTSNE", "diffusers", "scikit-learn-intelex")
REST = 0.2  # seconds before each turn: BLAS and OpenMP threads keep spinning for a while after their last product
# What benchmarks/__init__.py sets for peers in this process (the lab's scripts set their own), and what would put this
# checkout before another.
NOT_PASSED_ON = ("GOMP_SPINCOUNT", "PYTHONPATH")


@dataclass
class Plan:
    """Sizes and repetitions of the measurements."""

    dataset: str  # prepared
    quick: bool = False  # small sizes, one repetition: shows that everything runs, but the figures mean little
    before: Path | None = None  # a checkout of version 0.1, the peer of some cases; None leaves it out

    def rounds(self, count: int) -> int:
        return 1 if self.quick else count

    def trees(self) -> dict[str, Path]:
        """The checkouts whose commands are measured."""
        return {"ours": ROOT} | ({"theirs": self.before} if self.before else {})

    def images(self) -> np.ndarray:
        """60,000 training images, or 2,000, repeated if there are fewer (the stand-in): uint8 (N, 1, 28, 28)."""
        images, _ = load_split("train", self.dataset)
        return np.resize(images, (2_000 if self.quick else 60_000, *images.shape[1:]))


def alternate(jobs: dict[str, Callable[[], object]], rounds: int, warm_up: bool = True) -> dict[str, float]:
    """Run the jobs in turn, A B A B ..., each on a machine at rest: by name, the median of its wall-clock seconds.

    ``warm_up`` first runs each once, untimed: the first call imports, allocates and fills caches.
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
    return {name: median(taken) for name, taken in times.items()}


def run_command(arguments: Sequence[str | Path], environment: dict[str, str] | None = None, tree: Path = ROOT) -> float:
    """Run ``python ARGUMENTS`` in a checkout, with these variables added, and return its wall-clock seconds.

    Raises:
        LabError: it failed; quotes the last line of standard error.
    """
    variables = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON} | (environment or {})
    command = [sys.executable, *map(str, arguments)]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=tree, env=variables, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        what = one_line(f"python {' '.join(command[1:])}")
        raise LabError(f"{what} failed with status {done.returncode}: {one_line(reason)}")
    return time.perf_counter() - start


def machine() -> str:
    """Processor, memory, the load before (the average number of busy processes over a minute), and versions."""
    linux = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", linux.read_text()) if linux.exists() else []
    processor = (names or [platform.processor() or platform.machine()])[0]
    installed = {package.name: package.version for package in distributions()}
    versions = [f"{name} {installed[name]}" for name in PACKAGES if name in installed]
    return (
        f"{os.cpu_count()} cores of {processor}, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()}, "
        f"load before {psutil.getloadavg()[0]:.3g}; python {platform.python_version()}, {', '.join(versions)}"
    )
