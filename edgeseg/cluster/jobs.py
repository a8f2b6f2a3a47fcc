"""Jobs and the executors that run them: the seam between what is computed and where.

A job is a frozen dataclass, a pure function of its fields when `work(job)` runs it: `work` is a
function at the top of a module, reads the paths in the fields of the job, and writes everything
below `job.folder` (or the folders in `job.folders`). So a worker on another machine can be given
copies of both: the executor replaces every path in the fields, also in those of nested
dataclasses. A path outside the job's own folders is read only.

    with open_executor(config) as executor:                     config.py
        jobs = [... threads=executor.cores ...]
        run_jobs(jobs, work, executor=executor, log_file=..., on_end=...)

Finished work is known by what lies in its folders; jobs that are finished are not run again.
"""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from edgeseg.errors import Interrupted
from edgeseg.packages.failures import known_error

AGAIN = "run the same command again to continue"

J = TypeVar("J")


@dataclass(frozen=True)
class Failure:
    """Why a job failed."""

    problem: str
    remedy: str


class Executor(Protocol):
    """Where jobs run."""

    @property
    def processes(self) -> int:
        """How many jobs run at a time, at most."""
        ...

    @property
    def cores(self) -> int:
        """CPU cores, and so threads, of one job."""
        ...

    def run(
        self,
        jobs: Sequence[J],
        work: Callable[[J], None],
        on_end: Callable[[J, Failure | None], None],
        log_file: Callable[[J], Path] | None,
    ) -> bool:
        """Run all jobs; returns whether a stop request ended this early.

        on_end is called in this process, when the files of the job are in place.
        """
        ...


class Countdown:
    """Counts the jobs that have ended and predicts the time of the others."""

    def __init__(self, jobs: int, processes: int, noun: str) -> None:
        """noun: of the jobs, in the plural."""
        self._jobs, self._processes, self._noun = jobs, processes, noun
        self._began, self._ended, self._done = time.monotonic(), 0, 0

    def ended(self, failure: Failure | None) -> str:
        """Count one job; return how many have ended and the time left, in words."""
        self._ended += 1
        self._done += failure is None  # a job may fail at once, which is no pace
        words = f"{self._ended} of {self._jobs} {self._noun}"
        if self._done < self._processes or self._ended == self._jobs:
            return words
        left = (time.monotonic() - self._began) / self._done * (self._jobs - self._ended)
        return f"{words}, about {left / 60:.1f} min left"


def run_jobs(
    jobs: Sequence[J],
    work: Callable[[J], None],
    *,
    on_end: Callable[[J, Failure | None], None],
    executor: Executor,
    log_file: Callable[[J], Path] | None = None,
) -> None:
    """Run all jobs and call `on_end` in this process after each.

    log_file: what receives the output of a job that runs in another process.
    Interrupted after a stop request; finished jobs are kept.
    """
    if executor.run(jobs, work, on_end, log_file):
        raise Interrupted("Stopped; finished jobs are kept.", remedy=AGAIN)


def folders_of(job: Any) -> tuple[Path, ...]:
    """Return the folders that a job writes: its `folders`, or its `folder`."""
    several = getattr(job, "folders", None)
    return (job.folder,) if several is None else tuple(several)


def outcome(work: Callable[[J], None], job: J) -> Failure | None:
    """Run a job in this process; Interrupted passes."""
    try:
        work(job)
    except Interrupted:
        raise
    except Exception as error:
        known = known_error(error)
        if known is not None:
            return Failure(known.problem, known.remedy)
        traceback.print_exc()
        return Failure(f"{type(error).__name__}: {error}", "internal error; see the traceback")
    return None
