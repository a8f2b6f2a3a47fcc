"""ONNX Runtime on the CPU: runs the graph as it was exported, on any machine.

Its numbers are the reference that the other runtimes and the engines are compared with.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgeseg.cards import card_from_metadata
from edgeseg.errors import ModelError
from edgeseg.extras import require
from edgeseg.machine.threads import cpu_threads, on_cpu
from edgeseg.runtime.base import INPUTS, OUTPUTS, OnHost, Slot
from edgeseg.runtime.layer_times import LayerTimes, Prepare, average, time_each
from edgeseg.runtime.onnxrt_trace import read_trace

# It quantizes biases by itself, in a graph of Half scales in steps that Half cannot hold: maps
# were off by 0.3 (ONNX Runtime 1.32). Our INT8 graphs for the CPU bring biases in INT32.
DISABLED = ("WeightBiasQuantization",)


def open_session(graph: str | bytes, threads: int, *, trace: str | None = None) -> Any:
    """Return an InferenceSession on the CPU, of a graph's file or its bytes.

    trace: the beginning of the path of a profile; `end_profiling` returns the whole path.
    """
    ort = require("onnxruntime", extra="cpu")
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about Half that it casts itself
    options.intra_op_num_threads = threads
    if trace is not None:
        options.enable_profiling = True
        options.profile_file_prefix = trace
    return ort.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=DISABLED
    )


class OnnxRuntimeBackend(OnHost):
    """Inputs and outputs are bound to the slot's addresses once; a run copies nothing."""

    def __init__(self, graph: Path, *, threads: int | None = None) -> None:
        ort = require("onnxruntime", extra="cpu")
        count = cpu_threads(threads)
        try:
            self._session = open_session(str(graph), count)
        except Exception as error:  # a dozen classes that share no base
            raise ModelError(
                f"ONNX Runtime {ort.__version__} cannot open {graph}: {error}",
                remedy="edgeseg export, again",
            ) from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.card = card_from_metadata(metadata, graph)
        self.name = f"onnxruntime {ort.__version__}, {on_cpu(count)}"
        self._graph, self._threads = graph, count

    def bind(self, slot: Slot) -> None:
        """Fix the addresses that `run` reads and writes."""
        self._slot = slot  # the binding holds bare addresses; this keeps them valid
        self._binding = _bound(self._session, slot)

    def run(self) -> None:
        """Read the slot's frame and threshold; rewrite its mask, score and map."""
        self._session.run_with_iobinding(self._binding)

    def layer_times(self, prepare: Prepare, *, warmup: int, runs: int) -> LayerTimes:
        """Time the layers in a second session that profiles itself; its trace is deleted."""
        with TemporaryDirectory(prefix="edgeseg-") as folder:
            session = open_session(
                str(self._graph), self._threads, trace=str(Path(folder) / "trace")
            )
            binding = _bound(session, self._slot)
            seconds = time_each(lambda: session.run_with_iobinding(binding), prepare, warmup + runs)
            trace = read_trace(Path(session.end_profiling()).read_text(encoding="utf-8"))
        return LayerTimes(average(trace[warmup:]), seconds[warmup:])


def _bound(session: Any, slot: Slot) -> Any:
    """Return a binding of a session to a slot's addresses."""
    binding = session.io_binding()
    tensors = slot.tensors()
    for name in INPUTS:
        array = tensors[name]
        binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
    for name in OUTPUTS:
        array = tensors[name]
        binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
    return binding
