"""Slurm's executor, on submitit's local one: real processes, the same folders and pickles."""

import os
from pathlib import Path

import pytest

from edgeseg.cluster import slurm
from edgeseg.cluster.jobs import AGAIN, Failure, run_jobs
from edgeseg.cluster.slurm import open_slurm, sbatch_options
from edgeseg.errors import ConfigError, EdgesegError, Interrupted, WriteError
from tests.cluster.tiny import Tiny, work
from tests.kit.errors import fails

pytest.importorskip("submitit", reason="needs submitit")


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # submitit's folder is made here
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(bytes([1, 2, 3]))
    return tmp_path / "data"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of submitit's log files and processes
def test_jobs_run_and_a_failed_one_does_not_affect_the_others(data, tmp_path, monkeypatch):
    monkeypatch.setattr("edgeseg.cluster.slurm.POLL_S", 0.1)
    jobs = [
        Tiny(name=does or "well", data=data, folder=tmp_path / (does or "well"), does=does)
        for does in ("", "fail")
    ]
    ends = {}
    executor = open_slurm(None, 1, None, None, None, cluster="local")
    run_jobs(
        jobs, work, executor=executor, on_end=lambda job, failure: ends.update({job.name: failure})
    )
    assert ends["well"] is None and (tmp_path / "well" / "sum.json").is_file()
    assert ends["fail"].problem == "The image is torn."


@pytest.mark.parametrize(("executor", "waits"), [("slurm", [slurm.GRACE_S]), ("local", [])])
def test_a_job_that_slurm_stops_has_no_result_before_slurm_kills_it(executor, waits, monkeypatch):
    def stopped(_):
        raise Interrupted("stopped", remedy="again")

    waited = []
    monkeypatch.setenv("SUBMITIT_EXECUTOR", executor)
    monkeypatch.setattr("time.sleep", waited.append)
    assert slurm.Call(stopped, None)() == Failure("stopped", AGAIN)
    assert waited == waits


def refusing(folder):
    """Programs of a Slurm that takes no job."""
    folder.mkdir()
    for name, text in (("srun", "exit 0"), ("sbatch", "echo 'error: invalid account' >&2; exit 1")):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_jobs_that_slurm_does_not_take_are_told_with_its_words(data, tmp_path, monkeypatch):
    job = Tiny(name="a", data=data, folder=tmp_path / "a", does="")
    monkeypatch.setenv("PATH", refusing(tmp_path / "with space"))
    executor = open_slurm(None, 1, None, None, "account=nobody")
    with fails(EdgesegError, "cluster/not-queued") as caught:
        run_jobs([job], work, executor=executor, on_end=print)
    assert "invalid account" in caught.value.problem


def test_a_folder_that_takes_no_files_is_told(data, tmp_path, monkeypatch):
    job = Tiny(name="a", data=data, folder=tmp_path / "a", does="")
    (tmp_path / "slurm").write_text("a file")
    monkeypatch.setenv("PATH", refusing(tmp_path / "programs"))
    with fails(WriteError, "write/failed") as caught:
        executor = open_slurm(None, 1, None, None, None)
        run_jobs([job], work, executor=executor, on_end=print)
    assert "slurm" in caught.value.problem


def test_options_of_sbatch():
    assert sbatch_options("partition=gpu,time=60") == {"partition": "gpu", "time": "60"}
    assert sbatch_options(None) == {}
    for wrong in ("gpu", "partition=", "a b=1", "=1"):
        with fails(ConfigError, "cluster/slurm-option"):
            sbatch_options(wrong)


def test_a_machine_without_slurm_and_a_part_of_a_gpu_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with fails(EdgesegError, "cluster/no-slurm"):
        open_slurm(None, None, None, None, None)
    with fails(ConfigError, "config/invalid"):
        open_slurm(None, None, 0.5, None, None, cluster="local")
