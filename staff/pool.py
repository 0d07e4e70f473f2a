"""Grade many hand-ins at a time, in processes of this machine or a Dask cluster, any of which may die."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from itertools import islice

from joblib.externals.loky import get_reusable_executor

from hi_mnist.cli import LabError
from sandbox import bubblewrap
from staff import archives, grade_one
from staff.grade_one import Settings

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # in each process, else they wait for each other
Grader = Callable[[archives.HandIn, Settings], dict]


@dataclass(frozen=True)
class Job:
    """A hand-in to be graded, and its record of an earlier run."""

    found: archives.Found
    record: dict | None = None


def read(job: Job, settings: Settings) -> archives.HandIn | dict:
    """What is to be graded; or its record, because an earlier one still holds or a fault of ours prevents reading."""
    try:
        handin, record = archives.read(job.found), job.record
        if record is None or any(q["verdict"] == "INTERNAL" for q in record["questions"]):
            return handin
        same = record.get("digest") == handin.digest() and record["settings"] == grade_one.made_under(settings)
        return record if same else handin
    except Exception as error:
        return grade_one.internal_record(job.found, settings, grade_one.fault(error))


def attempt(grader: Grader, job: Job, settings: Settings, handin: archives.HandIn | dict | None = None) -> dict:
    """The record of a job, made in this process; ``handin`` is what ``read`` gave elsewhere."""
    handin = handin or read(job, settings)
    if isinstance(handin, dict):
        return handin
    try:
        return grader(handin, settings)
    except Exception as error:
        return grade_one.internal_record(handin, settings, grade_one.fault(error))


def end_with(parent: int) -> None:
    """End this process soon after its parent, even if that was killed; not on Windows, where the parent's id stays."""

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Pool:
    """``jobs`` processes of this machine, or those of an existing Dask cluster at the address ``scheduler``.

    LabError: it does not answer, or a worker has another version of the lab, other data, or no bubblewrap.
    """

    def __init__(self, jobs: int, scheduler: str | None, settings: Settings, unsandboxed: bool):
        self.jobs, self.settings, self.client, self.executor = jobs, settings, None, None
        if not scheduler:
            return
        try:
            from distributed import Client
        except ImportError:
            raise LabError("Dask is not installed; pip install -r requirements-extra.txt") from None
        try:
            self.client = Client(scheduler, timeout=10)
            self.client.wait_for_workers(1, timeout=30)
            theirs = set(self.client.run(grade_one.facts, self.settings.dataset, self.settings.lab).values())
            cause = None if theirs == {(self.settings.data, self.settings.code)} else "it has other images or code"
            missing = [] if cause or unsandboxed else filter(None, self.client.run(bubblewrap.unavailable).values())
            cause = next((f"bubblewrap {why}: {bubblewrap.REMEDY}" for why in missing), cause)
        except Exception as error:  # Dask's own errors, and any that a worker raises
            cause = f"{type(error).__name__}: {error}"
        if cause:
            self.close()
            remedy = "start scheduler and workers with PYTHONPATH=LAB, all with the same lab and data"
            raise LabError(f"no Dask cluster with a worker that can use the lab at {scheduler} ({cause}); {remedy}")

    def close(self) -> None:
        if self.client is not None:
            self.client.close()
        if self.executor is not None:
            self.executor.shutdown(wait=False, kill_workers=True)

    def map(self, grader: Grader, jobs: list[Job], alone: bool = False) -> Iterator[dict]:
        """Records as they come; loky's and Dask's own errors, when workers die.

        Hand-ins are read where they are graded, but for a cluster on this machine. ``alone``: grading may end its
        process, so it is another one of this machine.
        """
        if self.client is None and self.jobs == 1 and not alone:
            yield from (attempt(grader, job, self.settings) for job in jobs)
            return
        waiting, running = iter(jobs), set()
        submit = self._submit_here if self.client is None or alone else self._submit_there
        most = 2 * (self.jobs if self.client is None else sum(self.client.nthreads().values()))
        while True:
            running |= {submit(grader, job) for job in islice(waiting, max(1, most) - len(running))}
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)

    def _submit_here(self, grader: Grader, job: Job) -> Future:
        # Processes that start here ignore Ctrl-C and print no tracebacks: this one ends them.
        former = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            options = {"env": ONE_THREAD, "initializer": end_with, "initargs": (os.getpid(),)}
            self.executor = get_reusable_executor(max(2, self.jobs), timeout=300, **options)
            return self.executor.submit(attempt, grader, job, self.settings)
        finally:
            signal.signal(signal.SIGINT, former)

    def _submit_there(self, grader: Grader, job: Job) -> Future:
        arguments = grader, job, self.settings, read(job, self.settings)
        return self.client.get_executor(pure=False).submit(attempt, *arguments)

    def check(self) -> None:
        """LabError if the cluster is gone."""
        if self.client is not None and self.client.status != "running":
            raise LabError("the Dask scheduler is gone; start it again and continue with --resume")


def records(pool: Pool, grader: Grader, jobs: list[Job]) -> Iterator[dict]:
    """A record for every job. Jobs lost with a worker are graded again; those lost twice, one by one."""
    waiting = {job.found.hand_in: job for job in jobs}
    for _ in range(2):
        try:
            for record in pool.map(grader, list(waiting.values())) if waiting else ():
                del waiting[record["hand_in"]]
                yield record
        except Exception:
            pool.check()
    for job in waiting.values():
        try:
            yield from pool.map(grader, [job], alone=True)
        except Exception as error:
            pool.check()
            cause = f"a fault of the grading program: its worker ended ({type(error).__name__})"
            yield grade_one.internal_record(job.found, pool.settings, cause)
