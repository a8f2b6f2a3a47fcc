"""Run jobs as a job array of Slurm, through submitit, on nodes that share the file system.

Slurm's clusters have a shared disk and the same environment on every node: jobs run on the paths
that they name. A preempted job is queued again and resumes where its training was saved.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.cluster.jobs import AGAIN, Failure, J, outcome
from edgeseg.errors import ConfigError, EdgesegError, Interrupted
from edgeseg.files import cannot_write, shown
from edgeseg.interrupt import stop_requests
from edgeseg.packages.extras import require

FOLDER = Path("slurm")
PROGRAMS = ("srun", "sbatch")
GRACE_S = 600.0
"""Seconds for Slurm to kill a job that it has told to stop. One that it preempts begins again; a
result would end it."""
POLL_S = 2.0  # seconds between looks at the results; submitit asks Slurm itself every 30 s
_OPTION = re.compile(r"[a-z_][a-z0-9_-]*", re.ASCII)


class Call:
    """What submitit runs on the node: one job; queued again when Slurm stops it."""

    def __init__(self, work: Callable[[Any], None], job: Any) -> None:
        self.work, self.job = work, job

    def __call__(self) -> Failure | None:
        """Run the job."""
        try:
            return outcome(self.work, self.job)
        except Interrupted as stopped:
            if os.environ.get("SUBMITIT_EXECUTOR") == "slurm":
                time.sleep(GRACE_S)
            return Failure(stopped.problem, AGAIN)

    def checkpoint(self) -> Any:
        """Return the same call for a second try."""
        return require("submitit", extra="slurm").helpers.DelayedSubmission(self)


@dataclass
class Slurm:
    """A submitit executor and what each job may use."""

    submitit: Any
    processes: int
    cores: int

    def run(
        self,
        jobs: Sequence[J],
        work: Callable[[J], None],
        on_end: Callable[[J, Failure | None], None],
        log_file: Callable[[J], Path] | None,
    ) -> bool:
        """Run all jobs; returns whether a stop request ended this early."""
        with stop_requests() as stop:
            tasks = self._submit([Call(work, job) for job in jobs])
            running = dict(zip(tasks, jobs, strict=True))
            try:
                while running and not stop.requested:
                    ended = [task for task in running if task.done()]
                    for task in ended:
                        job = running.pop(task)
                        on_end(job, _failure(task))
                    if not ended:
                        time.sleep(POLL_S)
            finally:
                for task in running:  # none is left but after a stop or an error
                    task.cancel(check=False)
        return stop.requested

    def _submit(self, calls: Sequence[Call]) -> Sequence[Any]:
        """Queue the calls. EdgesegError (`cluster/not-queued`), WriteError."""
        refused = require("submitit.core.utils", extra="slurm").FailedJobError
        try:
            tasks: Sequence[Any] = self.submitit.submit_array(calls)
        except OSError as error:
            raise cannot_write(FOLDER.absolute(), error) from error
        except refused as error:
            raise EdgesegError(
                f"Slurm does not take the jobs: {shown(' '.join(str(error).split())[-300:])}",
                remedy="correct --slurm, --cores, --gpus or --memory-gb; `sinfo` lists partitions "
                "and their time limits",
                code="cluster/not-queued",
            ) from error
        return tasks


def _failure(task: Any) -> Failure | None:
    error = task.exception()
    if error is None:
        found: Failure | None = task.result()
        return found
    last = " ".join(str(error).split())[-300:]
    return Failure(f"Slurm job {task.job_id}: {last}", f"read {task.paths.stderr}")


def open_slurm(
    processes: int | None,
    cores: int | None,
    gpus: float | None,
    memory_gb: float | None,
    options: str | None,
    cluster: str | None = None,
) -> Slurm:
    """Return Slurm as an executor. MissingExtra, ConfigError; EdgesegError (`cluster/no-slurm`).

    options: of sbatch, `partition=gpu,time=60`. cluster: `local` or `debug` for tests.
    """
    submitit = require("submitit", extra="slurm")
    if cluster is None and (missing := [p for p in PROGRAMS if shutil.which(p) is None]):
        raise EdgesegError(
            f"no Slurm on this machine: {' and '.join(missing)} not found",
            remedy="run this on a login node of the cluster, where srun is found, or use --on ray",
            code="cluster/no-slurm",
        )
    try:
        executor = submitit.AutoExecutor(folder=FOLDER / "%j", cluster=cluster or "slurm")
    except OSError as error:
        raise cannot_write(FOLDER.absolute(), error) from error
    share = gpus or 0
    if share != int(share):
        raise ConfigError(
            f"gpus is {share:g} (expected a whole number with slurm)", remedy="--gpus 1"
        )
    common: dict[str, float] = {
        "cpus_per_task": cores or 1,
        "gpus_per_node": int(share),
        "timeout_min": 24 * 60,
    }
    if memory_gb is not None:
        common["mem_gb"] = memory_gb
    if processes is not None:
        common["slurm_array_parallelism"] = processes
    try:
        executor.update_parameters(
            **{k: v for k, v in common.items() if v},
            slurm_additional_parameters=sbatch_options(options),
        )
    except (NameError, ValueError, TypeError) as error:
        raise ConfigError(f"invalid --slurm: {error}", remedy="--slurm partition=NAME") from error
    return Slurm(executor, processes or 256, cores or 1)


def sbatch_options(text: str | None) -> dict[str, str]:
    """Turn `partition=gpu,time=60` into options of sbatch; ConfigError."""
    found = {}
    for pair in filter(None, (text or "").split(",")):
        name, equals, value = pair.partition("=")
        if not (equals and value and _OPTION.fullmatch(name)) or "\n" in value:
            raise ConfigError(
                f"invalid --slurm: '{shown(pair)}' (expected name=value, comma-separated)",
                remedy="--slurm partition=NAME,time=60",
                code="cluster/slurm-option",
            )
        found[name] = value
    return found
