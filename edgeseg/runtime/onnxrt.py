"""ONNX Runtime on the CPU: runs the graph as it was exported, on any machine.

Its numbers are the reference that the other runtimes and the engines are compared with.
"""

from pathlib import Path
from typing import Any

from edgeseg.cards import card_from_metadata
from edgeseg.errors import ModelError
from edgeseg.extras import require
from edgeseg.runtime.base import INPUTS, OUTPUTS, OnHost, Slot
from edgeseg.runtime.threads import cpu_threads, on_cpu

# It quantizes biases by itself, in a graph of Half scales in steps that Half cannot hold: maps
# were off by 0.3 (ONNX Runtime 1.32). Our INT8 graphs for the CPU bring biases in INT32.
DISABLED = ("WeightBiasQuantization",)


def open_session(graph: str | bytes, threads: int) -> Any:
    """Return an InferenceSession on the CPU, of a graph's file or its bytes."""
    ort = require("onnxruntime", extra="cpu")
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about Half that it casts itself
    options.intra_op_num_threads = threads
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
        self._binding = self._session.io_binding()

    def bind(self, slot: Slot) -> None:
        """Fix the addresses that `run` reads and writes."""
        self._slot = slot  # the binding holds bare addresses; this keeps them valid
        tensors = slot.tensors()
        for name in INPUTS:
            array = tensors[name]
            self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name in OUTPUTS:
            array = tensors[name]
            self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def run(self) -> None:
        """Read the slot's frame and threshold; rewrite its mask, score and map."""
        self._session.run_with_iobinding(self._binding)
