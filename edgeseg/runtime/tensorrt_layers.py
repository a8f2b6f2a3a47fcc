"""TensorRT's layers and their times: a profiler for its execution context, and the nodes by layer.

    clock = layer_clock(trt)
    context.profiler = clock            # before the first run
    ... one run, its stream synchronized; clock.end_run(); and again
    clock.times(warmup, inspected_nodes(inspector.get_engine_information(json)))

TensorRT reports a run's layers when its enqueue ends (`enqueue_emits_profile`, which is its
default), and not when a CUDA graph is replayed. Written against the documentation and run with
TensorRT-RTX 1.7.1's class and made-up times, not run on a GPU.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgeseg.runtime.layer_times import LayerTime, average

_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]+)\]")


def layer_clock(trt: Any) -> Any:
    """Return an object for `context.profiler`, of a class made from the loaded TensorRT's.

    Keep it as long as the context that it is given to.
    """

    class LayerClock(trt.IProfiler):  # type: ignore[misc]
        """Collects what TensorRT reports after each run: its layers in order."""

        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self._run: list[LayerTime] = []
            self._runs: list[list[LayerTime]] = []

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            """Take one layer's milliseconds; TensorRT calls it."""
            self._run.append(LayerTime(layer_name, "", float(ms) / 1e3))

        def end_run(self) -> None:
            """Close a run: what is reported from here on belongs to the next one."""
            self._runs.append(self._run)
            self._run = []

        def times(
            self, warmup: int = 0, nodes: Mapping[str, tuple[str, ...]] | None = None
        ) -> tuple[LayerTime, ...]:
            """Return the means over all runs but the first `warmup`.

            nodes: of `inspected_nodes`; a layer that is not in it keeps its name alone.
            """
            known = nodes or {}
            layers = average(self._runs[warmup:])
            return tuple(replace(layer, nodes=known.get(layer.name, ())) for layer in layers)

    return LayerClock()


def inspected_nodes(information: str) -> dict[str, tuple[str, ...]]:
    """Return layer -> ONNX nodes, from the JSON of TensorRT's engine inspector.

    Needs an engine that was built with detailed profiling verbosity; without it the layers are bare
    names, and the answer is empty.
    """
    layers = json.loads(information).get("Layers", [])
    return {
        layer["Name"]: tuple(_ONNX_LAYER.findall(layer.get("Metadata", "")))
        for layer in layers
        if isinstance(layer, dict)
    }
