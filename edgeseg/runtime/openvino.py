"""OpenVINO on the CPU: compiles the graph for this processor when it is opened."""

from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.machine.threads import cpu_threads, on_cpu
from edgeseg.packages.extras import require
from edgeseg.runtime.base import OnHost, Slot
from edgeseg.runtime.layer_times import LayerTime, LayerTimes, Prepare, average, time_each, without
from edgeseg.runtime.onnx_card import check_tensors, read_onnx_card
from edgeseg.runtime.openvino_cache import CompiledGraphs


class OpenVinoBackend(OnHost):
    """Shares the slot's memory with OpenVINO's tensors; a run copies nothing.

    The performance hint LATENCY gives one request all threads. The precision hint is f32, because
    OpenVINO defaults to bfloat16 (three digits) on processors with AMX or AVX512-BF16; `bf16` asks
    for bfloat16, and other processors then compute in FP32.
    """

    compute_seconds: float | None = None

    def __init__(
        self,
        graph: Path,
        *,
        threads: int | None = None,
        cache: CompiledGraphs | None = None,
        bf16: bool = False,
    ) -> None:
        """Open a graph; `cache` loads its compiled form, or stores it for the next start."""
        ov = require("openvino", extra="openvino")
        # Not through OpenVINO, which tries all its readers on a damaged file and prints messages.
        self.card = read_onnx_card(graph)
        count = cpu_threads(threads)
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "INFERENCE_NUM_THREADS": count,
        }
        version = ov.__version__.split("-")[0]
        try:
            if cache is None:
                compiled = _core().compile_model(read_model(graph), "CPU", self._options)
            else:
                compiled = cache.compile(_core(), read_model, self._options)
        except RuntimeError as error:
            raise ModelError(
                f"OpenVINO {version} cannot open {graph}: {error}.",
                remedy="edgeseg export, or --runtime onnxruntime",
                code="model/unreadable",
            ) from error
        tensors = (*compiled.inputs, *compiled.outputs)
        check_tensors({each.any_name: tuple(each.shape) for each in tensors}, self.card, graph)
        self.name = f"openvino {version}, {'bfloat16, ' * bf16}{on_cpu(count)}"
        self._compiled, self._tensor = compiled, ov.Tensor
        self._request = compiled.create_infer_request()
        self._graph = graph

    def bind(self, slot: Slot) -> None:
        self._slot = slot
        self._bind(self._request)

    def run(self) -> None:
        self._request.infer()

    def start(self) -> None:
        self._request.start_async()

    def finish(self) -> None:
        self._request.wait()

    def second(self) -> "OpenVinoBackend":
        """Open another infer request on the same compiled graph."""
        other = copy(self)
        other._request = self._compiled.create_infer_request()
        return other

    def layer_times(self, prepare: Prepare, *, warmup: int, iterations: int) -> LayerTimes:
        """Time the layers in a second model, compiled with performance counters.

        OpenVINO reports each layer's average over all runs since compilation, in whole microseconds
        (seen with 2026.4.1); the warm-up is removed from it. Layers of 0 microseconds, which were
        fused into others or are shorter than that, are omitted.
        """
        options = self._options | {"PERF_COUNT": True}
        compiled = _core().compile_model(read_model(self._graph), "CPU", options)
        nodes = _fused_nodes(compiled)
        request = compiled.create_infer_request()
        self._bind(request)
        time_each(request.infer, prepare, warmup)
        cold = _counted(request, nodes) if warmup else []
        seconds = time_each(request.infer, prepare, iterations)
        layers = without(cold, warmup, _counted(request, nodes), warmup + iterations)
        ran = [layer for layer in layers if layer.seconds]
        return LayerTimes(average([ran]), seconds)

    def _bind(self, request: Any) -> None:
        for name, array in self._slot.tensors().items():
            request.set_tensor(name, self._tensor(array, shared_memory=True))


def read_model(graph: Path) -> Any:
    """Read a graph with `threshold` as an input; RuntimeError if OpenVINO cannot read it.

    OpenVINO takes an input that has a default for a constant.
    """
    model = _core().read_model(str(graph))
    defaults = [op for op in model.get_ops() if op.get_friendly_name() == "threshold"]
    for constant in (op for op in defaults if op.get_type_name() == "Constant"):
        ov = require("openvino", extra="openvino")
        threshold = ov.opset13.parameter([1], ov.Type.f32, name="threshold")
        for reader in constant.output(0).get_target_inputs():
            reader.replace_source_output(threshold.output(0))
        threshold.output(0).set_names({"threshold"})
        model.add_parameters([threshold])
    return model


def _counted(request: Any, nodes: dict[str, tuple[str, ...]]) -> list[LayerTime]:
    """Return all layers with their average times; 0 for layers that did not run."""
    return [
        LayerTime(i.node_name, i.node_type, i.real_time.total_seconds(), nodes.get(i.node_name, ()))
        for i in request.profiling_info
    ]


def _fused_nodes(compiled: Any) -> dict[str, tuple[str, ...]]:
    """Return layer -> the operations that OpenVINO fused into it, without its own name."""
    found = {}
    for operation in compiled.get_runtime_model().get_ops():
        name, info = operation.get_friendly_name(), operation.get_rt_info()
        fused = info["originalLayersNames"].value if "originalLayersNames" in info else ""
        found[name] = tuple(word for word in fused.split(",") if word and word != name)
    return found


@cache
def _core() -> Any:
    """Return the only OpenVINO core of this process.

    Each core replaces the thread's signal stack and restores the previous one when it is freed. Of
    two overlapping cores the second restores the first's stack, which is freed already, and the
    next signal that Python catches is a segmentation fault (seen with OpenVINO 2026.4.1).
    """
    return require("openvino", extra="openvino").Core()
