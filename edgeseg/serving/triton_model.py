"""Runs an exported graph with ONNX Runtime in Triton's Python backend.

`edgeseg export --to triton DIR --backend python` copies this file into each version of the model.
It needs NumPy and ONNX Runtime in the server's Python, and nothing of edgeseg.

A graph of N frames is served with dynamic batching: frames of several requests with one threshold
run together, and a frame is repeated to fill up the last batch.
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLD = "edgeseg.threshold"  # keys of parameters in config.pbtxt
THREADS = "intra_op_thread_count"
DISABLED = ("WeightBiasQuantization",)  # as in edgeseg/runtime/onnxrt.py


class TritonPythonModel:
    """What the Python backend calls: `initialize` once, `execute` with the waiting requests."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the graph of this version."""
        self._server: Any = import_module("triton_python_backend_utils")
        config = json.loads(args["model_config"])
        parameters = {name: each["string_value"] for name, each in config["parameters"].items()}
        self._threshold = np.array([float(parameters[THRESHOLD])], np.float32)
        self._outputs = [output["name"] for output in config["output"]]
        self._batching = int(config["max_batch_size"]) > 0
        ort: Any = import_module("onnxruntime")
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = int(parameters.get(THREADS, "0"))
        self._session = ort.InferenceSession(
            str(Path(args["model_repository"], args["model_version"], "model.onnx")),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=DISABLED,
        )
        self._count = self._session.get_inputs()[0].shape[0]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return a response for each request; an invalid one does not fail the others."""
        frames = [self._tensor(request, "frame") for request in requests]
        thresholds = [
            np.broadcast_to(self._tensor(request, "threshold", self._threshold).ravel(), len(frame))
            for request, frame in zip(requests, frames, strict=True)
        ]
        valid = [bool(np.isfinite(each).all()) for each in thresholds]
        rows: dict[float, list[tuple[int, int]]] = {}
        for request, each in enumerate(thresholds):
            for row, threshold in enumerate(each if valid[request] else ()):
                rows.setdefault(float(threshold), []).append((request, row))
        results: list[dict[str, NDArray[Any]]] = [{} for _ in requests]
        for threshold, places in rows.items():
            for start in range(0, len(places), self._count):
                self._run(frames, threshold, places[start : start + self._count], results)
        return [
            self._response(result) if found else self._refusal()
            for result, found in zip(results, valid, strict=True)
        ]

    def _run(
        self,
        frames: list[NDArray[Any]],
        threshold: float,
        places: list[tuple[int, int]],
        results: list[dict[str, NDArray[Any]]],
    ) -> None:
        """Run one batch; write the rows of its outputs to the results of their requests."""
        filled = places + places[-1:] * (self._count - len(places))
        given = [frames[request][row : row + 1] for request, row in filled]
        batch = given[0] if len(given) == 1 else np.concatenate(given)
        inputs = {"frame": batch, "threshold": np.array([threshold], np.float32)}
        for name, array in zip(
            self._outputs, self._session.run(self._outputs, inputs), strict=True
        ):
            for (request, row), value in zip(places, array, strict=False):
                shape = (len(frames[request]), *array.shape[1:])
                result = results[request].setdefault(name, np.empty(shape, array.dtype))
                result[row] = value

    def _tensor(self, request: Any, name: str, default: NDArray[Any] | None = None) -> Any:
        found = self._server.get_input_tensor_by_name(request, name)
        return default if found is None else found.as_numpy()

    def _response(self, result: dict[str, NDArray[Any]]) -> Any:
        if self._batching:  # the configuration has no tensor without a dimension beside the batch's
            result["score"] = result["score"].reshape(-1, 1)
        tensors = [self._server.Tensor(name, result[name]) for name in self._outputs]
        return self._server.InferenceResponse(output_tensors=tensors)

    def _refusal(self) -> Any:
        error = self._server.TritonError("invalid threshold (expected a finite number)")
        return self._server.InferenceResponse(output_tensors=[], error=error)
