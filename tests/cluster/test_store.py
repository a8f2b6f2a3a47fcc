"""An object store in memory and in a folder: data, results, damage."""

import pytest

from edgeseg.cluster.content import content_of
from edgeseg.cluster.jobs import Failure
from edgeseg.cluster.store import ObjectStore
from edgeseg.cluster.worker import JobResult
from edgeseg.errors import DataError, EdgesegError
from tests.kit.errors import fails

pytest.importorskip("fsspec")


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    place = f"{tmp_path}/store" if request.param == "file" else f"/{tmp_path.name}"
    return ObjectStore(f"{request.param}://{place}")


def test_data_are_stored_once_and_read_in_parts(store, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(b"a")
    store.check()
    content = content_of(tmp_path / "data")
    store.offer(tmp_path / "data", content)
    (tmp_path / "data" / "a").unlink()
    store.offer(tmp_path / "data", content)  # reads nothing: it is there
    assert b"a" in store.part(content.digest, 0)
    with fails(EdgesegError, "cluster/store"):
        store.part(content.digest, 1)


def test_two_commands_may_check_a_store_at_the_same_time(store, monkeypatch):
    read, within = ObjectStore._read, []

    def read_later(self, name):
        if not within:
            within.append(name)
            self.check()  # of another command, between the write and the read of this one
        return read(self, name)

    monkeypatch.setattr(ObjectStore, "_read", read_later)
    store.check()
    assert within


def test_data_that_change_while_they_are_stored_do_not_spoil_the_store(store, tmp_path):
    """Else it would have them under the hash of others, and every later job would refuse them."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_bytes(b"before")
    content = content_of(data)
    (data / "a").write_bytes(b"behind")
    with fails(DataError, "data/changed"):
        store.offer(data, content)
    (data / "a").unlink()
    with fails(DataError, "data/unreadable"):
        store.offer(data, content)
    (data / "a").write_bytes(b"before")
    store.offer(data, content)
    assert b"before" in store.part(content.digest, 0)


def test_a_result_is_found_by_its_key_unless_it_is_damaged(store):
    assert store.result("k") is None
    kept = store.keep("k", JobResult(failure=None, files=b"files", log=b"line\n", node="n"))
    assert kept.files is None and kept.failure is None
    assert store.result("k").files == b"files" and store.result("k").log == b"line\n"
    store._write("results/k.tar", b"FILES")
    assert store.result("k") is None
    store._write("results/k.json", b"[")
    assert store.result("k") is None


def test_a_failure_is_not_kept(store):
    failed = JobResult(failure=Failure("torn", "another"), files=b"files", log=b"", node="n")
    assert store.keep("k", failed) is failed and store.result("k") is None


def test_a_store_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with fails(EdgesegError, "cluster/store"):
        ObjectStore(f"file://{tmp_path}/file/store").check()
    with fails(EdgesegError, "cluster/store") as caught:
        ObjectStore("gs://bucket/folder").check()
    assert caught.value.remedy == "pip install gcsfs"
    with fails(EdgesegError, "cluster/store"):
        ObjectStore("nothing://x").check()
