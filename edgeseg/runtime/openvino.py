"""OpenVINO on the CPU: compiles the graph for this processor while it opens it."""

from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.extras import require
from edgeseg.machine.threads import cpu_threads, on_cpu
from edgeseg.runtime.base import OnHost, Slot
from edgeseg.runtime.layer_times import LayerTime, LayerTimes, Prepare, average, time_each, without
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.runtime.openvino_cache import Compiled


class OpenVinoBackend(OnHost):
    """Its tensors share the slot's memory; a run copies nothing.

    LATENCY: one request uses all threads. Inference precision f32: on a processor with AMX or
    AVX512-BF16 OpenVINO would compute in bfloat16, three digits, without being asked to. With
    `bf16` it is asked to; on another processor it computes in FP32 then.
    """

    compute_seconds: float | None = None

    def __init__(
        self,
        graph: Path,
        *,
        threads: int | None = None,
        kept: Compiled | None = None,
        bf16: bool = False,
    ) -> None:
        """Open a graph; `kept` has it compiled, or keeps it."""
        ov = require("openvino", extra="openvino")
        # Not by OpenVINO, whose readers guess at a damaged file one by one, aloud.
        self.card = read_onnx_card(graph)
        count = cpu_threads(threads)
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "INFERENCE_NUM_THREADS": count,
        }
        version = ov.__version__.split("-")[0]
        try:
            if kept is None:
                compiled = _core().compile_model(str(graph), "CPU", self._options)
            else:
                compiled = kept.compile(_core(), self._options)
        except RuntimeError as error:
            raise ModelError(
                f"OpenVINO {version} cannot open {graph}: {error}",
                remedy="edgeseg export, again, or --runtime onnxruntime",
            ) from error
        self.name = f"openvino {version}, {'bfloat16, ' * bf16}{on_cpu(count)}"
        self._compiled, self._tensor = compiled, ov.Tensor
        self._request = compiled.create_infer_request()
        self._graph = graph

    def bind(self, slot: Slot) -> None:
        """Fix the memory that `run` reads and writes."""
        self._slot = slot
        self._bind(self._request)

    def run(self) -> None:
        """Read the slot's frame and threshold; rewrite its mask, score and map."""
        self._request.infer()

    def start(self) -> None:
        """Hand the slot's frame to OpenVINO's threads."""
        self._request.start_async()

    def finish(self) -> None:
        """Wait for the frame that was started."""
        self._request.wait()

    def second(self) -> "OpenVinoBackend":
        """Open another infer request on the same compiled graph."""
        other = copy(self)
        other._request = self._compiled.create_infer_request()
        return other

    def layer_times(self, prepare: Prepare, *, warmup: int, runs: int) -> LayerTimes:
        """Time the layers in a second model, compiled to count.

        OpenVINO keeps each layer's average, in whole microseconds, over all runs since it compiled
        the model (seen with 2026.4.1); that of the warm-up is taken out again. What is left of
        layers that were fused into others, or take less than a microsecond, is 0: not listed.
        """
        options = self._options | {"PERF_COUNT": True}
        compiled = _core().compile_model(str(self._graph), "CPU", options)
        nodes = _fused_nodes(compiled)
        request = compiled.create_infer_request()
        self._bind(request)
        time_each(request.infer, prepare, warmup)
        cold = _counted(request, nodes) if warmup else []
        seconds = time_each(request.infer, prepare, runs)
        layers = without(cold, warmup, _counted(request, nodes), warmup + runs)
        ran = [layer for layer in layers if layer.seconds]
        return LayerTimes(average([ran]), seconds)

    def _bind(self, request: Any) -> None:
        for name, array in self._slot.tensors().items():
            request.set_tensor(name, self._tensor(array, shared_memory=True))


def _counted(request: Any, nodes: dict[str, tuple[str, ...]]) -> list[LayerTime]:
    """Return all layers with their averages; those that OpenVINO says did not run have 0."""
    return [
        LayerTime(i.node_name, i.node_type, i.real_time.total_seconds(), nodes.get(i.node_name, ()))
        for i in request.profiling_info
    ]


def _fused_nodes(compiled: Any) -> dict[str, tuple[str, ...]]:
    """Return layer -> the operations that OpenVINO fused into it, its own name left out."""
    found = {}
    for operation in compiled.get_runtime_model().get_ops():
        name, info = operation.get_friendly_name(), operation.get_rt_info()
        fused = info["originalLayersNames"].value if "originalLayersNames" in info else ""
        found[name] = tuple(word for word in fused.split(",") if word and word != name)
    return found


@cache
def _core() -> Any:
    """The process's one OpenVINO core.

    Each core moves the thread's signal stack into its own memory and, when it goes, back to what
    it found. Of two that overlap, the second leaves the stack of the first, already freed, and the
    next signal that Python catches is a segmentation fault (seen with OpenVINO 2026.4.1).
    """
    return require("openvino", extra="openvino").Core()
