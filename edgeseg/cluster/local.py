"""Run jobs one after the other in this process, or each in a worker process of its own.

A worker process ends with its job, so all of its memory is released, and a job that fails or is
killed does not affect the others. Ctrl-C and SIGTERM stop all jobs: a job with safe points
(`stop_requests`) at the next one, any other at once. A worker ends when its parent process dies.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from edgeseg.cluster.jobs import AGAIN, Failure, J, outcome
from edgeseg.errors import Interrupted
from edgeseg.interrupt import Stop, stop_at_once, stop_requests
from edgeseg.log import install_handler

POLL_S = 0.5  # seconds between checks for a stop request


@dataclass(frozen=True)
class Local:
    """This machine: with one process the jobs run in this one, else each in a new worker process.

    The output of a worker process goes to `log_file(job)`; `work` and the jobs are pickled.
    """

    processes: int = 1
    cores: int = 1

    def run(
        self,
        jobs: Sequence[J],
        work: Callable[[J], None],
        on_end: Callable[[J, Failure | None], None],
        log_file: Callable[[J], Path] | None,
    ) -> bool:
        """Run all jobs; returns whether a stop request ended this early."""
        if self.processes == 1:
            return _run_here(jobs, work, on_end)
        assert log_file is not None, "worker processes need log files"
        with stop_requests() as stop:
            _run_in_workers(jobs, work, self.processes, stop, log_file, on_end)
        return stop.requested


def _run_here(
    jobs: Sequence[J], work: Callable[[J], None], on_end: Callable[[J, Failure | None], None]
) -> bool:
    """Run the jobs in this process; returns whether they were stopped."""
    try:
        with stop_at_once():
            for job in jobs:
                on_end(job, outcome(work, job))
    except (Interrupted, KeyboardInterrupt):  # Interrupted: raised at a safe point of the job
        return True
    return False


def _run_in_workers(
    jobs: Sequence[J],
    work: Callable[[J], None],
    processes: int,
    stop: Stop,
    log_file: Callable[[J], Path],
    on_end: Callable[[J, Failure | None], None],
) -> None:
    # A terminal sends Ctrl-C to all processes. Workers inherit the signal mask of the thread that
    # starts them: with SIGINT blocked they leave it to this process, which sends them SIGTERM.
    block = (signal.SIG_BLOCK, {signal.SIGINT})
    with ThreadPoolExecutor(processes, initializer=signal.pthread_sigmask, initargs=block) as pool:
        running = {pool.submit(_run_in_worker, work, j, log_file(j), stop): j for j in jobs}
        try:
            while running:
                ended, _ = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED)
                for future in ended:
                    job, failure = running.pop(future), future.result()
                    if failure is None or not stop.requested:
                        on_end(job, failure)
                if stop.requested:
                    for worker in multiprocessing.active_children():
                        worker.terminate()
        except BaseException:  # a second Ctrl-C, or a report that cannot be written
            stop.requested = True
            while wait(running, timeout=0.1).not_done:
                for worker in multiprocessing.active_children():
                    worker.kill()
            raise


def _run_in_worker(work: Callable[[J], None], job: J, log_file: Path, stop: Stop) -> Failure | None:
    """Run one job in a pool of one process, which breaks alone when the process is killed."""
    if stop.requested:
        return Failure("not started", AGAIN)
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            return pool.submit(_worker, work, job, log_file).result()
    except BrokenProcessPool:
        return Failure(
            "worker process killed, possibly out of memory",
            f"use fewer --processes; output of the job: {log_file}",
        )


def _worker(work: Callable[[Any], None], job: Any, log_file: Path) -> Failure | None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("a") as file:
            for descriptor in (1, 2):  # of the process, because C libraries write to them too
                os.dup2(file.fileno(), descriptor)
    except OSError as error:
        return Failure(f"cannot write {log_file}: {error.strerror}", "choose another --out")
    install_handler(logging.INFO)
    try:
        return outcome(work, job)
    except Interrupted as stopped:
        return Failure(stopped.problem, AGAIN)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    while True:  # a job that stops at a safe point takes the first; then its pool waits for another
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(POLL_S)
