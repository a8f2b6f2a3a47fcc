"""MLflow: a real server that answers, is frozen, killed or lies."""

import json
import signal
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest

from edgeseg.tracking import sender
from edgeseg.tracking import tracking as tracking_module
from edgeseg.tracking.mlflow import RUN_IDS, Mlflow
from edgeseg.tracking.tracker import Beginning
from edgeseg.tracking.tracking import Tracking
from tests.kit.trackers import mlflow_server

pytest.importorskip("mlflow")
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)

STEPS = 2500  # more than the 1000 metrics of a request


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as found:
        yield found


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(sender, "LONGEST_PAUSE", 1.0)


def track(folder, address, name, *, steps=STEPS, step=0, during=lambda: None, **settings):
    """Track steps; returns the longest time that one took, in seconds."""
    slowest = 0.0
    with Tracking([f"mlflow:{address}"]) as tracking:
        tracking.begin(folder, name, {"seed": 0, "profile": "edge", "roi": None} | settings, step)
        tracking.picture(step, "preview", np.full((32, 48, 3), 200, np.uint8))
        for k in range(step, steps):
            began = time.perf_counter()
            tracking.put(k, {"student/loss": 1 / (1 + k), "student/seconds": 0.01})
            slowest = max(slowest, time.perf_counter() - began)
        during()
    return slowest


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr(tracking_module, "DRAIN", 120.0)


def test_the_server_has_settings_values_and_pictures(mlflow, tmp_path, said, patient):
    track(tmp_path, mlflow.address, "plates")
    assert said == []
    run = mlflow.run("plates")
    assert run["info"]["status"] == "FINISHED" and "end_time" in run["info"]
    assert {p["key"]: p["value"] for p in run["data"]["params"]} == {"seed": "0", "profile": "edge"}
    history = mlflow.history(run, "student/loss")
    assert [step for step, _ in history] == list(range(STEPS))
    assert history[9][1] == pytest.approx(0.1)
    images = mlflow.ask(f"artifacts/list?run_id={run['info']['run_id']}&path=images")["files"]
    assert any("preview" in each["path"] for each in images)
    ids = json.loads((tmp_path / RUN_IDS).read_text())
    assert ids == {mlflow.address: run["info"]["run_id"]}


def test_a_resumed_training_goes_on_in_its_run(mlflow, tmp_path, patient):
    with pytest.raises(KeyboardInterrupt):
        track(tmp_path, mlflow.address, "resumed", steps=10, during=interrupt)
    before = mlflow.run("resumed")
    assert before["info"]["status"] == "KILLED"
    track(tmp_path, mlflow.address, "resumed", step=10, steps=20)
    run = mlflow.run("resumed")
    assert run["info"]["run_id"] == before["info"]["run_id"]
    assert run["info"]["status"] == "FINISHED"
    assert [step for step, _ in mlflow.history(run, "student/loss")] == list(range(20))


def test_a_resumed_training_with_other_packages_goes_on_in_its_run(mlflow, tmp_path, said, patient):
    """MLflow changes no parameter: what differs is a tag."""
    track(tmp_path, mlflow.address, "updated", steps=10, torch="2.13")
    track(tmp_path, mlflow.address, "updated", step=10, steps=20, torch="2.14", timm="1.0")
    run = mlflow.run("updated")
    assert len(mlflow.history(run, "student/loss")) == 20
    params = {each["key"]: each["value"] for each in run["data"]["params"]}
    assert params["torch"] == "2.13" and params["timm"] == "1.0"
    assert {"key": "resumed with torch", "value": "2.14"} in run["data"]["tags"]
    assert said == []


class Client:
    """What a tracker asks of mlflow's client; `refusal`: why no run can be resumed."""

    def __init__(self, run_id, refusal=None):
        self.run_id, self.refusal = run_id, refusal

    def get_experiment_by_name(self, name):
        return SimpleNamespace(experiment_id="1")

    def create_run(self, *_, **__):
        return SimpleNamespace(info=SimpleNamespace(run_id=self.run_id))

    def update_run(self, *_, **__):
        if self.refusal is not None:
            raise MlflowException("refused", error_code=self.refusal)

    def get_run(self, run_id):
        return SimpleNamespace(data=SimpleNamespace(params={"seed": "0"}))


def opened(folder, host, client, step=0):
    tracker = Mlflow(f"http://{host}", f"http://{host}", folder)
    tracker._client = client
    tracker.open(Beginning(name="plates", settings={"seed": "0"}, step=step))


def test_the_runs_of_several_servers_are_kept(tmp_path):
    opened(tmp_path, "a", Client("1"))
    opened(tmp_path, "b", Client("2"))
    assert json.loads((tmp_path / RUN_IDS).read_text()) == {"http://a": "1", "http://b": "2"}


def test_a_server_that_is_away_at_a_resume_does_not_cost_the_run_its_history(tmp_path):
    opened(tmp_path, "a", Client("1"))
    with pytest.raises(MlflowException):
        opened(tmp_path, "a", Client("2", refusal=TEMPORARILY_UNAVAILABLE), step=5)
    assert json.loads((tmp_path / RUN_IDS).read_text()) == {"http://a": "1"}
    opened(tmp_path, "a", Client("2", refusal=RESOURCE_DOES_NOT_EXIST), step=5)  # deleted there
    assert json.loads((tmp_path / RUN_IDS).read_text()) == {"http://a": "2"}


def test_a_run_that_is_published_meanwhile_gets_no_folder_back(tmp_path):
    opened(tmp_path / "replacement", "a", Client("1"))
    assert not (tmp_path / "replacement").exists()


def interrupt():
    raise KeyboardInterrupt


def until(lines):
    """Return what waits for the first line that is said."""

    def wait():
        end = time.monotonic() + 120
        while not lines and time.monotonic() < end:
            time.sleep(0.01)

    return wait


def test_a_frozen_server_costs_the_training_its_deadline_alone(mlflow, tmp_path, said, monkeypatch):
    monkeypatch.setattr(tracking_module, "DRAIN", 1.0)
    mlflow.send(signal.SIGSTOP)
    try:
        assert track(tmp_path, mlflow.address, "frozen") < 10, "a call to it takes 30 s"
    finally:
        mlflow.send(signal.SIGCONT)
    assert said == [
        f"MLflow at {mlflow.address}: {STEPS} of {STEPS} steps and 1 of 1 picture were not "
        "recorded (no answer in time); the run directory has them"
    ]


def test_a_server_that_dies_and_returns_has_everything(mlflow, tmp_path, said, patient):
    def restart():
        mlflow.stop()
        mlflow.start()

    track(tmp_path, mlflow.address, "restarted", during=restart)
    run = mlflow.run("restarted")
    steps = {step for step, _ in mlflow.history(run, "student/loss")}
    assert steps == set(range(STEPS)) and run["info"]["status"] == "FINISHED"
    assert all(line.endswith(("goes on", "after all")) for line in said)


def test_no_server_is_told_once(tmp_path, said, monkeypatch):
    monkeypatch.setattr(tracking_module, "DRAIN", 1.0)
    track(tmp_path, "http://127.0.0.1:1", "nobody", during=until(said))
    assert said[-1].startswith(f"MLflow at http://127.0.0.1:1: {STEPS} of {STEPS} steps and 1 of 1")
    assert len(said) == 2 and said[0].endswith("the training goes on")


class Liar(BaseHTTPRequestHandler):
    """Acknowledges everything and keeps nothing."""

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        run = {"info": {"run_id": "a" * 32, "artifact_uri": "mlflow-artifacts:/x"}, "data": {}}
        body = json.dumps({"experiment": {"experiment_id": "1"}, "run": run}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = answer

    def log_message(self, *words):
        pass


class Moved(Liar):
    """Redirects, as a proxy does from http to https."""

    asked = 0

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        Moved.asked += "elsewhere" in self.path
        self.send_response(301)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_PATCH = answer


class Website(Liar):
    """Answers with a page."""

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>the shop</html>")

    do_GET = do_POST = do_PUT = do_PATCH = answer


@pytest.fixture(params=[Liar, Website, Moved])
def peer(request):
    server = ThreadingHTTPServer(("127.0.0.1", 0), request.param)
    Thread(target=server.serve_forever, daemon=True).start()
    yield request.param, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_server_that_lies_is_found_out(peer, tmp_path, said, monkeypatch):
    kind, address = peer
    liar = kind is Liar
    monkeypatch.setattr(tracking_module, "DRAIN", 120.0 if liar else 1.0)
    track(tmp_path, address, "lied", during=(lambda: None) if liar else until(said))
    ending = "does not return what it acknowledged" if liar else "were not recorded"
    assert ending in said[-1] and len(said) <= 2
    assert (kind is Moved) == ("301" in said[0]) and Moved.asked == 0
