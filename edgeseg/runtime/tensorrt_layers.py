"""TensorRT's layer times: a profiler for an execution context, and the nodes of each layer.

    clock = layer_clock(trt)
    context.profiler = clock            # before the first run
    ... one run; synchronize the stream; clock.end_run(); repeat
    clock.times(warmup, inspected_nodes(inspector.get_engine_information(json)))

TensorRT reports the layers at the end of an enqueue (`enqueue_emits_profile`, the default), but not
when a CUDA graph is replayed. Tested with TensorRT-RTX 1.7.1's class and simulated times; not run
on a GPU.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgeseg.runtime.layer_times import LayerTime, average

_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]+)\]")


def layer_clock(trt: Any) -> Any:
    """Return an object for `context.profiler`; it must outlive the context."""

    class LayerClock(trt.IProfiler):  # type: ignore[misc]
        """Collects the layers of each run in order."""

        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self._run: list[LayerTime] = []
            self._runs: list[list[LayerTime]] = []

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            """Called by TensorRT for each layer."""
            self._run.append(LayerTime(layer_name, "", float(ms) / 1e3))

        def end_run(self) -> None:
            """Assign later reports to the next run."""
            self._runs.append(self._run)
            self._run = []

        def times(
            self, warmup: int = 0, nodes: Mapping[str, tuple[str, ...]] | None = None
        ) -> tuple[LayerTime, ...]:
            """Return the means without the first `warmup` runs; nodes: of `inspected_nodes`."""
            known = nodes or {}
            layers = average(self._runs[warmup:])
            return tuple(replace(layer, nodes=known.get(layer.name, ())) for layer in layers)

    return LayerClock()


def inspected_nodes(information: str) -> dict[str, tuple[str, ...]]:
    """Return layer -> ONNX nodes, from the JSON of TensorRT's engine inspector.

    Needs an engine built with detailed profiling verbosity; the result is empty for others.
    """
    layers = json.loads(information).get("Layers", [])
    return {
        layer["Name"]: tuple(_ONNX_LAYER.findall(layer.get("Metadata", "")))
        for layer in layers
        if isinstance(layer, dict)
    }
