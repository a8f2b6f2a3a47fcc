"""An MLflow server and TensorBoard's reader, from the environment of .ci/trackers."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.ports import free_port

READ = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0}).Reload()
tags = found.Tags()
scalars = {t: [(e.step, e.value) for e in found.Scalars(t)] for t in tags["scalars"]}
images = {t: [(e.step, e.width, e.height) for e in found.Images(t)] for t in tags["images"]}
texts = {t: found.Tensors(t)[0].tensor_proto.string_val[0].decode() for t in tags["tensors"]}
print(json.dumps({"scalars": scalars, "images": images, "texts": texts}))
"""


def tracker_python():
    """Return the interpreter that has the readers; skip the test where it is missing."""
    python = Path(os.environ.get("TRACKERS", ""), "bin", "python")
    if not python.is_file():
        pytest.skip("MLflow's server and TensorBoard are missing: .ci/trackers $TRACKERS")
    return str(python)


def read_events(folder):
    """Read event files as TensorBoard does."""
    command = [tracker_python(), "-W", "ignore", "-c", READ, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


class MlflowServer:
    """A server in a session of its own, so that all of its processes get a signal."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        words = ["server", "--host", "127.0.0.1", "--port", self.port, "--workers", 1]
        words += ["--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"]
        words += ["--artifacts-destination", self.folder / "artifacts"]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "HOME": str(self.folder)}
        with (self.folder / "server.log").open("a") as output:
            self.process = subprocess.Popen(
                [tracker_python(), "-W", "ignore", "-m", "mlflow", *map(str, words)],
                cwd=self.folder,
                env=os.environ | quiet,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        until = time.monotonic() + 300
        while time.monotonic() < until:
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the server did not answer")

    def send(self, number):
        os.killpg(self.process.pid, number)

    def stop(self):
        self.send(signal.SIGKILL)
        self.process.wait()

    def ask(self, path, **content):
        """Return what the REST API answers."""
        request = urllib.request.Request(
            f"{self.address}/api/2.0/mlflow/{path}",
            data=json.dumps(content).encode() if content else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def run(self, name):
        """Return the newest run of a name, as the API shows it."""
        experiment = self.ask("experiments/get-by-name?experiment_name=edgeseg")["experiment"]
        found = self.ask(
            "runs/search",
            experiment_ids=[experiment["experiment_id"]],
            filter=f"attributes.run_name = '{name}'",
        )
        return found["runs"][0]

    def history(self, run, metric):
        """Return [(step, value)] of a metric."""
        found = self.ask(f"metrics/get-history?run_id={run['info']['run_id']}&metric_key={metric}")
        return [(each.get("step", 0), each["value"]) for each in found["metrics"]]


@contextmanager
def mlflow_server(folder):
    """Start a server; it is killed at the end."""
    server = MlflowServer(folder)
    try:
        yield server
    finally:
        server.stop()
