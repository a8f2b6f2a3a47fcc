"""A real Triton server on loopback ports, from the wheel that .ci/triton installs."""

import http.client
import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from tests.kit.ports import free_port
from tests.kit.stations import until


def installed():
    """The virtual environment of the server, its site-packages and its folder there."""
    folder = Path(os.environ.get("TRITON_SERVER", "nowhere"))
    found = sorted(folder.glob("lib/python*/site-packages/pytriton/tritonserver"))
    if not found:
        pytest.skip("no Triton server: .ci/triton FOLDER, and its folder in $TRITON_SERVER")
    return folder, found[0].parents[1], found[0]


class Triton:
    """The server with explicit control of its models, on a repository."""

    def __init__(self, repository, log):
        self.environment, packages, server = installed()
        self.port, self.grpc_port, self.metrics_port = (free_port() for _ in range(3))
        self.url = f"http://127.0.0.1:{self.port}"
        self.python = self.environment / "bin" / "python"
        self.log = log
        options = {
            "model-repository": repository,
            "backend-directory": server / "backends",
            "model-control-mode": "explicit",
            "http-address": "127.0.0.1",
            "grpc-address": "127.0.0.1",
            "metrics-address": "127.0.0.1",
            "http-port": self.port,
            "grpc-port": self.grpc_port,
            "metrics-port": self.metrics_port,
            "allow-gpu-metrics": "false",
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        words.append("--disable-auto-complete-config")  # starts each model once, not twice
        self._command = [str(server / "bin" / "tritonserver"), *words]
        self._variables = {
            **os.environ,
            "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs"),
            # The backend's Python ignores PYTHONPATH; it finds its packages by the program's place.
            "PATH": f"{self.environment / 'bin'}:{os.environ['PATH']}",
        }

    def __enter__(self):
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._variables, stdout=log, stderr=log
            )
        ready = until(self._ready)
        assert ready, self.log.read_text(errors="replace")[:2000]
        return self

    def __exit__(self, *raised):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def get(self, path, port=None):
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port or self.port}{path}", timeout=300
        ) as a:
            return a.read()

    def load(self, model):
        """Load the version that the configuration names; None, or the server's error."""
        request = urllib.request.Request(
            f"{self.url}/v2/repository/models/{model}/load", b"{}", method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=300):
                return None
        except urllib.error.HTTPError as error:
            return json.loads(error.read())["error"]

    def infer(self, model, **arrays):
        """The outputs of a request with NumPy arrays, by name; AssertionError with a refusal."""
        names = {"uint8": "UINT8", "float32": "FP32"}
        inputs = [
            {
                "name": name,
                "datatype": names[str(array.dtype)],
                "shape": list(array.shape),
                "parameters": {"binary_data_size": array.nbytes},
            }
            for name, array in arrays.items()
        ]
        head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
        body = head + b"".join(array.tobytes() for array in arrays.values())
        headers = {"Inference-Header-Content-Length": str(len(head))}
        request = urllib.request.Request(f"{self.url}/v2/models/{model}/infer", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                at, found = int(answer.headers["Inference-Header-Content-Length"]), answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        outputs, kinds = {}, {"UINT8": "u1", "FP32": "<f4"}
        for each in json.loads(found[:at])["outputs"]:
            size = each["parameters"]["binary_data_size"]
            array = np.frombuffer(found[at : at + size], kinds[each["datatype"]])
            outputs[each["name"]], at = array.reshape(each["shape"]), at + size
        return outputs

    def versions(self, model):
        """The versions of a model that are ready."""
        request = urllib.request.Request(f"{self.url}/v2/repository/index", b"{}", method="POST")
        with urllib.request.urlopen(request, timeout=300) as answer:
            found = json.loads(answer.read())
        return [
            int(each["version"])
            for each in found
            if each["name"] == model and each.get("state") == "READY"
        ]

    def metric(self, name, model):
        """The sum of a counter over the versions of a model."""
        lines = self.get("/metrics", self.metrics_port).decode().splitlines()
        ours = [line for line in lines if line.startswith(f'{name}{{model="{model}"')]
        return sum(float(line.rsplit(" ", 1)[1]) for line in ours)

    def _ready(self):
        assert self._process.poll() is None, self.log.read_text(errors="replace")[:2000]
        try:
            return self.get("/v2/health/ready") is not None
        except (OSError, http.client.HTTPException):
            return False
