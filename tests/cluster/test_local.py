"""Jobs in worker processes: a failure does not affect the others, a stop request stops all."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgeseg.cluster.jobs import run_jobs
from edgeseg.cluster.local import Local
from edgeseg.errors import DataError, Interrupted
from edgeseg.interrupt import stop_requests


def work(job: Path) -> None:
    """Do what the name of a job says; worker processes import this function."""
    print(f"working on {job.name}", flush=True)
    if job.name == "broken":
        raise DataError("The image is torn.", remedy="another image")
    if job.name == "wrong":
        raise ZeroDivisionError("ours")
    if job.name == "full":
        raise OSError(28, "No space left on device", "/data/x")
    if job.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if job.name == "endless":
        job.touch()
        time.sleep(60)
        job.with_name("ended").touch()
    if job.name == "patient":
        with stop_requests() as stop:
            part = job.with_name("pid")
            part.write_text(str(os.getpid()))
            part.replace(job)
            while not stop.requested:
                time.sleep(0.01)
        raise Interrupted("stopped", remedy="again")
    job.touch()


def log_file(job: Path) -> Path:
    return job.parent / "logs" / f"{job.name}.log"


def done(tmp_path, names, processes):
    """Run jobs of these names; return name -> failure."""
    ends = {}

    def on_end(job, failure):
        ends[job.name] = failure

    jobs = [tmp_path / name for name in names]
    run_jobs(jobs, work, executor=Local(processes), log_file=log_file, on_end=on_end)
    return ends


@pytest.mark.parametrize("processes", [1, 2])
def test_run_jobs_reports_a_failure_and_continues(tmp_path, processes):
    names = ["broken", "a", "wrong", "full", "b"]
    ends = done(tmp_path, names, processes)
    assert sorted(ends) == sorted(names)
    assert ends["a"] is None and ends["b"] is None
    assert (tmp_path / "a").exists() and (tmp_path / "b").exists()
    assert ends["broken"].problem == "The image is torn."
    assert ends["broken"].remedy == "another image"
    assert ends["wrong"].problem == "ZeroDivisionError: ours"
    assert ends["full"].problem == "No space left on device: /data/x"
    assert ends["full"].remedy == "free disk space: df -h /data"


def test_run_jobs_reports_a_killed_process_and_continues(tmp_path):
    ends = done(tmp_path, ["killed", "a"], 2)
    assert "killed" in ends["killed"].problem
    assert str(log_file(tmp_path / "killed")) in ends["killed"].remedy
    assert log_file(tmp_path / "killed").read_text() == "working on killed\n"
    assert ends["a"] is None


def test_run_jobs_fails_a_job_whose_log_cannot_be_written(tmp_path):
    (tmp_path / "logs").write_text("a file where the folder should be")
    ends = done(tmp_path, ["a", "b"], 2)
    assert "a.log" in ends["a"].problem
    assert not (tmp_path / "a").exists()


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["patient", "endless"])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_stop_request_reaches_running_jobs_and_starts_no_new_one(
    tmp_path, processes, name, number
):
    def ask():
        while not (tmp_path / name).exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Interrupted):
        done(tmp_path, [name] * processes + ["a"], processes)
    asking.join()
    assert not (tmp_path / "a").exists()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_error_in_on_end_ends_the_running_jobs(tmp_path):
    def on_end(job, failure):
        raise OSError("disk full")

    jobs = [tmp_path / "endless", tmp_path / "a"]
    with pytest.raises(OSError, match="disk full"):
        run_jobs(jobs, work, executor=Local(2), log_file=log_file, on_end=on_end)
    assert not (tmp_path / "ended").exists()


def test_a_worker_whose_parent_is_killed_ends_after_its_safe_point(tmp_path):
    program = (
        "import sys; from pathlib import Path; from tests.cluster import test_local as t\n"
        "t.done(Path(sys.argv[1]), ['patient', 'a'], 2)"
    )
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=environment)
    wait_until((tmp_path / "patient").exists)
    parent.kill()
    parent.wait()
    worker = Path("/proc", (tmp_path / "patient").read_text(), "stat")
    wait_until(lambda: not worker.exists() or ") Z " in worker.read_text())


def wait_until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited for two minutes"
        time.sleep(0.05)
