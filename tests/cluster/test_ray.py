"""Ray's executor on a real cluster of two nodes: lost workers, a lost node, a lost driver."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

import tests
from edgeseg.cluster import ray_cluster
from edgeseg.cluster.cache import _waiting_lock
from edgeseg.cluster.config import ExecutorConfig, open_executor
from edgeseg.cluster.jobs import run_jobs
from edgeseg.cluster.ray_jobs import RETRIES, Ray, _SentJob, _task
from edgeseg.cluster.send import Packer, receive
from edgeseg.cluster.store import ObjectStore
from edgeseg.cluster.worker import JobResult
from edgeseg.errors import EdgesegError, Interrupted, MissingExtra, WriteError
from tests.cluster.tiny import Tiny, work
from tests.kit.errors import fails

CODE = [Path(tests.__file__).parent]
NEEDS = ray_cluster.Needs(cores=1, gpus=0.0, memory_gb=None, packages=())
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs ray")
pytestmark = pytest.mark.filterwarnings("ignore")  # of ray: processes and files that it leaves open


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two nodes of one core each; workers share nothing with the tests but the folder of marks.

    Each process of pytest-xdist has a cluster of its own, one at a time.
    """
    root = tmp_path_factory.mktemp("ray")
    with _waiting_lock(tmp_path_factory.getbasetemp().parent / "ray.lock"):
        yield from two_nodes(root)


def two_nodes(root):
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_AUTH_MODE", "token")
    patch.setenv("RAY_AUTH_TOKEN", "ab" * 32)
    for name, value in ray_cluster.PRIVATE.items():
        patch.setenv(name, value)
    patch.setenv("EDGESEG_CACHE", str(root / "cache"))
    patch.setenv("TINY_MARKS", str(root / "marks"))
    (root / "marks").mkdir()
    from ray.cluster_utils import Cluster

    memory = {"num_cpus": 1, "object_store_memory": 80 << 20}
    started = Cluster(initialize_head=True, head_node_args={"include_dashboard": False} | memory)
    started.second = started.add_node(**memory)
    started.marks = root / "marks"
    yield started
    started.shutdown()
    patch.undo()


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(bytes([1, 2, 3]))
    return tmp_path / "data"


def run(address, jobs, store=None):
    """Run jobs on the cluster; return name -> failure."""
    ends = {}
    with ray_cluster.connected(address, CODE) as ray:
        run_jobs(
            jobs,
            work,
            executor=Ray(ray, NEEDS, store=store),
            log_file=lambda job: job.folder / "job.log",
            on_end=lambda job, failure: ends.update({job.name: failure}),
        )
    return ends


def tiny(data, **does):
    return [
        Tiny(name=name, data=data, folder=data.parent / "out" / name, does=what.replace("_", " "))
        for name, what in does.items()
    ]


def wait_for(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited for two minutes"
        time.sleep(0.05)


@needs_ray
def test_jobs_run_without_a_shared_disk_and_a_killed_worker_is_replaced(cluster, data):
    jobs = tiny(data, well="", torn="fail", killed="die_once")
    ends = run(cluster.address, jobs)
    assert ends["well"] is None and ends["killed"] is None
    assert ends["torn"].problem == "The image is torn."
    text = (jobs[0].folder / "sum.json").read_text()
    assert '"sum": 6' in text and f'"data": "{data}"' in text
    assert "runtime_resources" in text, "the code of edgeseg did not come with the job"
    assert "working on well" in (jobs[0].folder / "job.log").read_text()
    assert (cluster.marks / "killed").read_text().count("\n") == 2


@needs_ray
def test_a_worker_ends_with_its_job_and_one_that_cannot_load_it_is_replaced(cluster, data):
    ends = run(
        cluster.address,
        tiny(data, one="", two="", late="cannot_load_once", never="cannot_load"),
    )
    assert [ends[name] for name in ("one", "two", "late")] == [None] * 3
    assert "the code is torn" in ends["never"].problem
    assert not (cluster.marks / "never").exists()
    pids = [(cluster.marks / name).read_text().split()[1] for name in ("one", "two", "late")]
    for name, times in (("late", 2), ("never", RETRIES + 1)):
        arrived = (cluster.marks / f"{name} arrived").read_text().split()
        assert len(arrived) == times
        pids += arrived
    assert len(set(pids)) == len(pids) - 1  # only the late job ran where it had arrived


@needs_ray
def test_a_cluster_of_this_machine_listens_on_loopback_alone(cluster):
    pids = {
        each.process.pid
        for node in (cluster.head_node, cluster.second)
        for processes in node.all_processes.values()
        for each in processes
    }
    found = [place for pid in pids for place in listening(pid)]
    assert len(found) > 4
    assert {place for place in found if not place.endswith("0100007F")} == set()


def listening(pid):
    """Return the addresses at which a process listens, as in /proc: the last digits are IPv4."""
    held = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held.add(str(descriptor.readlink()))
    tables = "".join(Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
    rows = [line.split() for line in tables.splitlines() if " 0A " in line]
    return [row[1].partition(":")[0] for row in rows if f"socket:[{row[9]}]" in held]


@needs_ray
def test_a_second_start_after_a_killed_driver_repeats_no_finished_job(cluster, data, tmp_path):
    jobs = tiny(data, finished="", unfinished="wait_once")
    store = ObjectStore(f"file://{tmp_path}/store")
    program = (
        "import sys; from pathlib import Path; from tests.cluster import test_ray as t\n"
        "data, address, store = sys.argv[1:]\n"
        "jobs = t.tiny(Path(data), finished='', unfinished='wait_once')\n"
        "t.run(address, jobs, t.ObjectStore(store))"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", program, str(data), cluster.address, store.url],
        env=os.environ | {"PYTHONPATH": str(CODE[0].parent)},
    )
    wait_for(lambda: (jobs[0].folder / "sum.json").exists())
    wait_for(lambda: (cluster.marks / "unfinished").exists())
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    (jobs[0].folder / "sum.json").unlink()  # as if the driver had died before it arrived
    assert run(cluster.address, jobs, store) == {"finished": None, "unfinished": None}
    assert all((job.folder / "sum.json").exists() for job in jobs)
    assert (cluster.marks / "finished").read_text().count("\n") == 1


@needs_ray
def test_what_no_node_has_is_refused_before_any_job(cluster):
    with fails(EdgesegError, "cluster/too-few-resources") as caught:
        with open_executor(ExecutorConfig(on=cluster.address, cores=64)):
            pass
    assert "64 cores" in caught.value.problem and "1 cores" in caught.value.problem
    with fails(EdgesegError, "cluster/missing-package") as caught:
        with open_executor(ExecutorConfig(on=cluster.address), needs=("no-such-package",)):
            pass


@needs_ray
def test_jobs_of_a_killed_node_run_elsewhere(cluster, data):
    """The last test: the cluster has one node afterwards."""
    jobs = tiny(data, here="wait_once", there="wait_once")
    marks = [cluster.marks / job.name for job in jobs]
    raylet = cluster.second.all_processes["raylet"][0].process

    def kill():
        try:
            wait_for(lambda: all(mark.exists() and mark.read_text() for mark in marks))
            workers = dict(mark.read_text().split()[:2] for mark in marks)
            raylet.kill()
            raylet.wait()  # its worker looks whether the process exists
            wait_for(lambda: not Path("/proc", workers[str(raylet.pid)]).exists())
        finally:
            (cluster.marks / "go on").touch()

    killer = threading.Thread(target=kill)
    killer.start()
    assert run(cluster.address, jobs) == {"here": None, "there": None}
    killer.join()
    assert sorted(mark.read_text().count("\n") for mark in marks) == [1, 2]


@needs_ray
def test_an_address_where_nothing_listens_is_refused_before_ray_asks(monkeypatch):
    monkeypatch.setattr(ray_cluster, "_init", None)
    with fails(EdgesegError, "cluster/unreachable"):
        with ray_cluster.connected("127.0.0.1:9"):
            pass


@pytest.mark.parametrize(
    ("stderr", "told"),
    [
        (
            "token_loader.cc:115: Check failed: has_token\n*** StackTrace Information ***\n"
            "ray::rpc::AuthenticationTokenLoader::GetToken()\npython(_start+0x21) _start\n",
            "no authentication token on this machine",
        ),
        ("Traceback\nAuthenticationError: token is incorrect\n", "token is incorrect"),
        ("", "no answer"),
    ],
)
def test_a_cluster_that_refuses_is_named_with_the_token(stderr, told, monkeypatch):
    refused = subprocess.CompletedProcess([], 1, stdout="", stderr=stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    with fails(EdgesegError, "cluster/no-answer") as caught:
        ray_cluster._check_answer("10.0.0.5:6379")
    assert caught.value.problem.endswith(told) and "auth_token" in caught.value.remedy


@pytest.mark.parametrize("address", ["127.0.0.1:9", "http://127.0.0.1:8265", "127.0.0.1"])
def test_a_wrong_address_in_the_environment_is_told_as_such(address, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with fails(EdgesegError, "cluster/unreachable") as caught:
        with ray_cluster.connected("ray"):
            pass
    assert "RAY_ADDRESS" in caught.value.problem and "RAY_ADDRESS" in caught.value.remedy


def test_the_words_of_ray_for_its_address_are_known(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for word in ("local", "auto", ""):
        monkeypatch.setenv("RAY_ADDRESS", word)
        assert ray_cluster._current_address() is None


@pytest.fixture
def stored(data, tmp_path):
    """An order whose data are in a store, and the store."""
    pytest.importorskip("fsspec")
    store = ObjectStore(f"file://{tmp_path}/store")
    (job,) = tiny(data, one="")
    order = Packer().order(job, work)
    for path, content in order.inputs:
        store.offer(path, content)
    return order, store


def test_a_result_that_the_store_does_not_take_is_not_computed_again(stored, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "cache"))
    order, store = stored

    def full(self, name, data):
        raise self._broken("disk full")

    monkeypatch.setattr(ObjectStore, "_write", full)
    result = _task(order, {}, store, "key")
    assert result.failure is None and b"disk full" in result.log
    receive(order, result, None)
    assert (order.job.folder / "sum.json").is_file()


def sent(order, key):
    return _SentJob(job=order.job, order=order, key=key, log_file=None)


def test_a_result_that_is_missing_in_the_store_is_no_success(stored):
    order, store = stored
    kept = JobResult(failure=None, files=None, log=b"", node="n")
    executor = Ray(SimpleNamespace(get=lambda _: kept, exceptions=None), NEEDS, store=store)
    assert "missing" in executor._received("reference", sent(order, "key")).problem


@needs_ray
def test_what_a_worker_raises_is_a_failure_and_one_that_is_stopped_runs_again(stored):
    from ray import exceptions

    order, _ = stored

    def received(error):
        def get(_):
            raise exceptions.RayTaskError("work", "traceback", error).as_instanceof_cause()

        executor = Ray(SimpleNamespace(get=get, exceptions=exceptions), NEEDS)
        return executor._received("reference", sent(order, ""))

    assert received(WriteError("disk full", remedy="df -h")).problem == "disk full"
    for error in (Interrupted("stopped", remedy="again"), ImportError("torn")):
        with pytest.raises(exceptions.RayTaskError):
            received(error)


def test_a_full_disk_is_told_where_the_code_is_copied(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    package = tmp_path / "package"
    package.mkdir()
    (package / "module.py").touch()
    monkeypatch.setattr("shutil.copytree", partial(shutil.copytree, copy_function=full))
    with fails(WriteError, "write/failed") as caught:
        ray_cluster._copy_clean([package], tmp_path / "copy")
    assert "No space left on device" in caught.value.problem and len(caught.value.problem) < 300


def test_a_missing_ray_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra) as caught:
        with ray_cluster.connected("ray"):
            pass
    assert "ray" in caught.value.remedy


def test_what_ray_s_client_needs_beside_ray_is_named(monkeypatch):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: None)
    with fails(MissingExtra, "extra/missing") as caught:
        ray_cluster._init(sys, {}, "ray://10.0.0.5:10001")
    assert caught.value.remedy == "pip install grpcio"


NODE = ray_cluster.Node(id="1", name="one", cores=16, gpus=2, memory_gb=64)


@pytest.mark.parametrize(
    ("asked", "cores", "gpus", "at_a_time"),
    [
        ((None, None, None), 8, 1, 2),
        ((None, 0.5, None), 4, 0.5, 4),
        ((2, 0.5, None), 2, 0.5, 4),
        ((2, 0, None), 2, 0, 8),
        ((2, 0, 20), 2, 0, 3),
        ((32, 0, None), 32, 0, 0),
        ((1, 4, None), 1, 4, 0),
    ],
)
def test_a_job_has_a_gpu_and_its_share_of_the_cores(asked, cores, gpus, at_a_time):
    needs = ray_cluster.needs_of(*asked, (), [NODE])
    assert (needs.cores, needs.gpus, needs.fit(NODE)) == (cores, gpus, at_a_time)
    if not at_a_time:
        with fails(EdgesegError, "cluster/too-few-resources"):
            ray_cluster.check_fit([NODE], needs)
