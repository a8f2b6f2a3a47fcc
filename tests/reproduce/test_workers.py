"""Mirrors edgeseg/evaluation/workers.py: one failure leaves the others alone, a stop stops all."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from edgeseg.errors import DataError, Interrupted
from edgeseg.interrupt import stop_requests
from edgeseg.reproduce.workers import run_jobs


def work(job: Path) -> None:
    """Do what a job's name says; in a process of its own it must be importable."""
    print(f"working on {job.name}", flush=True)
    if job.name == "broken":
        raise DataError("The image is torn.", remedy="another image")
    if job.name == "wrong":
        raise ZeroDivisionError("ours")
    if job.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if job.name == "endless":
        job.touch()
        time.sleep(60)
    if job.name == "patient":
        with stop_requests() as stop:
            job.touch()
            while not stop.requested:
                time.sleep(0.01)
        raise Interrupted("stopped", remedy="again")
    job.touch()


def log(job: Path) -> Path:
    return job.parent / "logs" / f"{job.name}.log"


def done(tmp_path, names, processes):
    """Run jobs of these names; return name -> failure."""
    ends = {}

    def ended(job, failure):
        ends[job.name] = failure

    run_jobs([tmp_path / n for n in names], work, processes=processes, log=log, ended=ended)
    return ends


@pytest.mark.parametrize("processes", [1, 2])
def test_a_failure_is_told_and_the_others_go_on(tmp_path, processes):
    names = ["broken", "a", "wrong", "b"]
    ends = done(tmp_path, names, processes)
    assert sorted(ends) == sorted(names)
    assert ends["a"] is None and ends["b"] is None
    assert (tmp_path / "a").exists() and (tmp_path / "b").exists()
    assert ends["broken"].problem == "The image is torn."
    assert ends["broken"].remedy == "another image"
    assert ends["wrong"].problem == "ZeroDivisionError: ours"


def test_a_process_that_is_killed_is_told_and_the_others_go_on(tmp_path):
    ends = done(tmp_path, ["killed", "a"], 2)
    assert "signal 9" in ends["killed"].problem
    assert str(log(tmp_path / "killed")) in ends["killed"].remedy
    assert log(tmp_path / "killed").read_text() == "working on killed\n"
    assert ends["a"] is None


def test_one_at_a_time_can_have_a_process_of_its_own(tmp_path):
    jobs, ends = [tmp_path / "a", tmp_path / "killed"], []
    run_jobs(
        jobs,
        work,
        processes=1,
        apart=True,
        log=log,
        ended=lambda job, failure: ends.append((job.name, failure is None)),
    )
    assert ends == [("a", True), ("killed", False)]


def test_a_log_that_cannot_be_written_fails_its_job(tmp_path):
    (tmp_path / "logs").write_text("a file where the folder should be")
    ends = done(tmp_path, ["a", "b"], 2)
    assert "a.log cannot be written" in ends["a"].problem
    assert not (tmp_path / "a").exists()


@pytest.fixture
def in_the_foreground():
    """Ctrl-C raises, though the tests be a background job, which a shell lets ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("in_the_foreground")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["patient", "endless"])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_stop_reaches_the_work_and_no_new_job_begins(tmp_path, processes, name, number):
    def ask():
        while not (tmp_path / name).exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Interrupted, match="what was done is kept"):
        done(tmp_path, [name] * processes + ["a"], processes)
    asking.join()
    assert not (tmp_path / "a").exists()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
