"""An order, carried out: what a node sees, what comes back, and what it replaces."""

import json
from dataclasses import replace

import pytest

from edgeseg.cluster.send import Packer, archive, receive
from edgeseg.cluster.worker import NOT_SENT, carry_out, pack_folders
from edgeseg.errors import Interrupted
from edgeseg.training.folder import RESUME
from tests.cluster.tiny import Tiny, work


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def job(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(bytes([1, 2, 3]))
    return Tiny(name="one", data=tmp_path / "data", folder=tmp_path / "out" / "one")


def sent_and_back(job, log_file=None):
    order = Packer().order(job, work)
    (content,) = [content for _, content in order.inputs]
    result = carry_out(order, lambda _, number: archive(job.data, content, number))
    receive(order, result, log_file)
    return result


def test_the_files_the_log_and_the_paths_of_the_sender_come_back(job, tmp_path):
    result = sent_and_back(job, tmp_path / "logs" / "one.log")
    assert result.failure is None
    assert json.loads((job.folder / "sum.json").read_text()) | {"edgeseg": ""} == {
        "sum": 6,
        "data": str(job.data),
        "folder": str(job.folder / "sum.json"),
        "edgeseg": "",
    }
    assert "working on one" in (tmp_path / "logs" / "one.log").read_text()
    assert not list((tmp_path / "cache" / "jobs").glob("[!.]*"))


def test_a_failure_comes_back_and_what_existed_stays(job, tmp_path):
    job.folder.mkdir(parents=True)
    (job.folder / "kept").write_text("kept")
    failing = Tiny(name="one", data=job.data, folder=job.folder, does="fail")
    result = sent_and_back(failing)
    assert (result.failure.problem, result.failure.remedy) == (
        "The image is torn.",
        "another image",
    )
    assert (job.folder / "kept").read_text() == "kept"


def test_a_stopped_job_is_no_failure(job):
    order = Packer().order(replace(job, does="stop"), work)
    ((_, content),) = order.inputs
    with pytest.raises(Interrupted):
        carry_out(order, lambda _, number: archive(job.data, content, number))


def test_data_that_do_not_arrive_are_a_failure_and_remove_nothing(job):
    job.folder.mkdir(parents=True)
    (job.folder / "kept").write_text("kept")
    order = Packer().order(job, work)
    result = carry_out(order, lambda *_: b"broken")
    receive(order, result, None)
    assert "damaged" in result.failure.problem and result.files is None
    assert (job.folder / "kept").read_text() == "kept"


def test_what_the_job_removed_is_removed_here_too(job, tmp_path):
    job.folder.mkdir(parents=True)
    (job.folder / "old").write_text("old")
    order = Packer().order(job, work)
    (job.folder / "old").unlink()
    files = pack_folders([job.folder])
    (job.folder / "old").write_text("old")
    receive(order, type(sent_and_back(job))(failure=None, files=files, log=b"", node=""), None)
    assert not (job.folder / "old").exists()


def test_the_state_of_an_unfinished_training_stays_where_it_is(job):
    assert NOT_SENT == RESUME
    job.folder.mkdir(parents=True)
    (job.folder / RESUME).write_text("state")
    sent_and_back(job)
    assert (job.folder / RESUME).read_text() == "state"


def test_data_below_which_the_job_writes_are_hashed_without_its_folder(tmp_path):
    (tmp_path / "bottle").mkdir()
    (tmp_path / "bottle" / "a").write_bytes(b"a")
    job = Tiny(name="one", data=tmp_path / "bottle", folder=tmp_path / "bottle" / "run")
    key = Packer().order(job, work).key()
    job.folder.mkdir()
    (job.folder / "card.json").write_text("{}")
    assert Packer().order(job, work).key() == key
