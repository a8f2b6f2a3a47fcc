"""ONNX Runtime on the CPU: runs the exported graph on any machine.

Its results are the reference for the other runtimes and the engines.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgeseg.cards import card_from_metadata
from edgeseg.errors import ModelError
from edgeseg.machine.threads import cpu_threads, on_cpu, spins
from edgeseg.packages.extras import require
from edgeseg.runtime.base import INPUTS, OnHost, Slot
from edgeseg.runtime.layer_times import LayerTime, LayerTimes, Prepare, average, time_each
from edgeseg.runtime.onnx_card import check_tensors

# This optimizer quantizes biases in graphs with FP16 scales, in steps that FP16 cannot represent:
# anomaly maps were off by 0.3 (ONNX Runtime 1.32). Our INT8 graphs for the CPU have INT32 biases.
DISABLED = ("WeightBiasQuantization",)
_KERNEL = "_kernel_time"


def open_session(graph: str | bytes, threads: int, *, trace: str | None = None) -> Any:
    """Return an InferenceSession on the CPU for a graph's path or its bytes.

    trace: prefix of a profile's path; `end_profiling` returns the path.
    """
    ort = require("onnxruntime", extra="cpu")
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about casts of FP16
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins())))
    if trace is not None:
        options.enable_profiling = True
        options.profile_file_prefix = trace
    return ort.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=DISABLED
    )


class OnnxRuntimeBackend(OnHost):
    """Binds inputs and outputs to the slot's addresses; a run copies nothing."""

    def __init__(self, graph: Path, *, threads: int | None = None) -> None:
        ort = require("onnxruntime", extra="cpu")
        count = cpu_threads(threads)
        try:
            self._session = open_session(str(graph), count)
        except Exception as error:  # a dozen classes without a common base
            raise ModelError(
                f"ONNX Runtime {ort.__version__} cannot open {graph}: {error}.",
                remedy="edgeseg export",
                code="model/unreadable",
            ) from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.card = card_from_metadata(metadata, graph)
        tensors = (
            *self._session.get_inputs(),
            *self._session.get_overridable_initializers(),
            *self._session.get_outputs(),
        )
        check_tensors({each.name: each.shape for each in tensors}, self.card, graph)
        self.name = f"onnxruntime {ort.__version__}, {on_cpu(count)}"
        self._graph, self._threads = graph, count

    def bind(self, slot: Slot) -> None:
        self._slot = slot  # keeps the bound addresses valid
        self._binding = _bound(self._session, slot)

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def layer_times(self, prepare: Prepare, *, warmup: int, iterations: int) -> LayerTimes:
        """Time the layers in a second session with profiling; its trace file is deleted."""
        with TemporaryDirectory(prefix="edgeseg-") as folder:
            session = open_session(
                str(self._graph), self._threads, trace=str(Path(folder) / "trace")
            )
            binding = _bound(session, self._slot)
            seconds = time_each(
                lambda: session.run_with_iobinding(binding), prepare, warmup + iterations
            )
            trace = read_trace(Path(session.end_profiling()).read_text(encoding="utf-8"))
        return LayerTimes(average(trace[warmup:]), seconds[warmup:])


def _bound(session: Any, slot: Slot) -> Any:
    """Return a binding of a session to a slot's addresses."""
    binding = session.io_binding()
    for name, array in slot.tensors().items():
        bind = binding.bind_input if name in INPUTS else binding.bind_output
        bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
    return binding


def read_trace(text: str) -> list[list[LayerTime]]:
    """Return the layers of every run, in execution order, from ONNX Runtime's JSON profile.

    {"cat": "Node", "name": "<layer>_kernel_time", "dur": microseconds, "args": {"op_name": ...}}
    {"cat": "Session", "name": "model_run", ...}      after the nodes of its run
    """
    runs: list[list[LayerTime]] = []
    run: list[LayerTime] = []
    for event in json.loads(text):
        name = str(event.get("name"))
        if event.get("cat") == "Node" and name.endswith(_KERNEL):
            kind = event["args"].get("op_name", "")
            run.append(LayerTime(name.removesuffix(_KERNEL), kind, event["dur"] / 1e6))
        elif name == "model_run":
            runs.append(run)
            run = []
    return runs
