"""The cache of data sets on a node: once, whole, verified."""

import threading

import pytest

from edgeseg.cluster.cache import cache_folder, cached, job_folder
from edgeseg.cluster.content import content_of
from edgeseg.cluster.send import archive
from edgeseg.errors import EdgesegError
from tests.kit.errors import fails


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "bottle"
    (root / "good").mkdir(parents=True)
    (root / "good" / "0.png").write_bytes(b"zero")
    return root


class Fetch:
    """Counts what is fetched."""

    def __init__(self, root):
        self.root, self.content, self.count = root, content_of(root), 0

    def __call__(self, number):
        self.count += 1
        return archive(self.root, self.content, number)


def test_a_data_set_is_fetched_once(data):
    fetch = Fetch(data)
    place = cached(fetch.content, fetch)
    assert place.name == "bottle" and (place / "good" / "0.png").read_bytes() == b"zero"
    assert cached(fetch.content, fetch) == place and fetch.count == 1


def test_a_file_is_fetched_too(data):
    fetch = Fetch(data / "good" / "0.png")
    assert cached(fetch.content, fetch).read_bytes() == b"zero"


def test_several_jobs_at_a_time_fetch_once(data):
    fetch, places = Fetch(data), []
    jobs = [
        threading.Thread(target=lambda: places.append(cached(fetch.content, fetch)))
        for _ in range(4)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert len(places) == 4 and len(set(places)) == 1 and fetch.count == 1


def test_a_changed_file_is_fetched_again(data):
    fetch = Fetch(data)
    place = cached(fetch.content, fetch)
    (place / "good" / "0.png").write_bytes(b"ZERO")
    assert (cached(fetch.content, fetch) / "good" / "0.png").read_bytes() == b"zero"
    assert fetch.count == 2


def test_what_arrives_damaged_or_not_at_all_is_not_used(data):
    fetch = Fetch(data)
    with fails(EdgesegError, "cluster/damaged"):
        cached(fetch.content, lambda number: fetch(number).replace(b"zero", b"ZERO"))
    with fails(EdgesegError, "cluster/damaged"):
        cached(fetch.content, lambda _: b"")
    left = [path for path in (cache_folder() / "data").iterdir() if path.is_dir()]
    assert left == []
    assert cached(fetch.content, fetch).is_dir()


def test_the_folder_of_a_job_is_removed_and_so_are_those_of_the_dead(tmp_path):
    dead = cache_folder() / "jobs" / "dead"
    dead.mkdir(parents=True)
    with job_folder() as one, job_folder() as two:
        (one / "file").write_text("")
        assert one != two and one.is_dir() and not dead.exists()
        with job_folder():
            assert (one / "file").is_file()
    assert not one.exists() and not two.exists()
