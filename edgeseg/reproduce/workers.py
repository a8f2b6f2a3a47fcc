"""Jobs on several processes: one process for each job, so that each gives back all its memory.

A job that fails, or whose process is killed, leaves the others alone. Ctrl-C and SIGTERM stop all:
a job with safe points (`stop_requests`) at the next of them, any other at once. A worker whose
parent died stops by itself.
"""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from edgeseg.errors import EdgesegError, Interrupted
from edgeseg.interrupt import Stop, stop_at_once, stop_requests

LOOK_EVERY = 0.5  # seconds between looks at the stop that was asked for

J = TypeVar("J")
Work = Callable[[J], None]


@dataclass(frozen=True)
class Failure:
    """Why a job did not end."""

    problem: str
    remedy: str


def run_jobs(
    jobs: Sequence[J],
    work: Work[J],
    *,
    processes: int,
    log: Callable[[J], Path],
    ended: Callable[[J, Failure | None], None],
    apart: bool = False,
) -> None:
    """Do all jobs, so many at a time; `ended` hears of each, in this process.

    One process: in this one, with its output. More, or `apart`: each in a new interpreter, whose
    output goes to `log(job)`; jobs and `work` are pickled. Interrupted when a stop was asked for.
    """
    if processes == 1 and not apart:
        stopped = _in_turn(jobs, work, ended)
    else:
        with stop_requests() as stop:
            _side_by_side(jobs, work, processes, stop, log, ended)
        stopped = stop.requested
    if stopped:
        raise Interrupted(
            "The work was stopped; what was done is kept.",
            remedy="the same command again",
        )


def _in_turn(jobs: Sequence[J], work: Work[J], ended: Callable[[J, Failure | None], None]) -> bool:
    """Do the jobs in this process; returns whether they were stopped."""
    try:
        with stop_at_once():
            for job in jobs:
                ended(job, _outcome(work, job))
    except (Interrupted, KeyboardInterrupt):  # Interrupted: at a safe point of the work's own
        return True
    return False


def _side_by_side(
    jobs: Sequence[J],
    work: Work[J],
    processes: int,
    stop: Stop,
    log: Callable[[J], Path],
    ended: Callable[[J, Failure | None], None],
) -> None:
    waiting = list(jobs)
    running: dict[int, tuple[BaseProcess, Connection, J]] = {}
    asked = False
    try:
        while running or (waiting and not stop.requested):
            while waiting and len(running) < processes and not stop.requested:
                process, pipe = _start(work, waiting[0], log(waiting[0]))
                running[process.sentinel] = (process, pipe, waiting.pop(0))
            for sentinel in wait(list(running), timeout=LOOK_EVERY):
                assert isinstance(sentinel, int)
                process, pipe, job = running.pop(sentinel)
                failure = _told(process, pipe, log(job))
                if failure is None or not stop.requested:
                    ended(job, failure)
            if stop.requested and not asked:
                asked = True
                for process, _, _ in running.values():
                    process.terminate()
    finally:
        for process, pipe, _ in running.values():
            process.kill()
            process.join()
            pipe.close()


def _start(work: Work[J], job: J, log: Path) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(work, job, log, theirs))
    # A terminal's Ctrl-C reaches all processes: this one takes it, and asks the others to stop.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return process, mine


def _told(process: BaseProcess, pipe: Connection, log: Path) -> Failure | None:
    """Return what a process that has ended said, or that it said nothing."""
    try:
        failure: Failure | None = pipe.recv()
    except EOFError:
        process.join()
        code = process.exitcode
        how = f"signal {-code}" if code and code < 0 else f"exit code {code}"
        failure = Failure(
            f"its process was ended ({how}), perhaps for want of memory",
            f"fewer --processes; its last words are in {log}",
        )
    pipe.close()
    process.join()
    return failure


def _child(work: Work[Any], job: Any, log: Path, pipe: Connection) -> None:
    threading.Thread(target=_outlive_no_parent, daemon=True).start()
    try:
        _write_to(log)
        outcome = _outcome(work, job)
    except OSError as error:
        outcome = Failure(f"{log} cannot be written: {error.strerror}", "make room there")
    except Interrupted as stopped:
        outcome = Failure(stopped.problem, "the same command goes on where it stopped")
    with suppress(BrokenPipeError):  # the parent is gone
        pipe.send(outcome)


def _write_to(log: Path) -> None:
    """Lead this process's output into a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        for descriptor in (1, 2):  # of the process: libraries in C write there too
            os.dup2(file.fileno(), descriptor)


def _outlive_no_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _outcome(work: Work[J], job: J) -> Failure | None:
    try:
        work(job)
    except Interrupted:
        raise
    except EdgesegError as error:
        return Failure(error.problem, error.remedy)
    except Exception as error:
        traceback.print_exc()
        return Failure(f"{type(error).__name__}: {error}", "a fault of edgeseg; see the trace")
    return None
