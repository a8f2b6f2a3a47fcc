"""A TensorRT whose engines are the kernels of this room, so that edgeseg's CUDA code runs on a GPU.

    with open_stand_in(Kernels(), size=(96, 128), gpu=GpuConfig(io="copy")) as backend:
        backend.bind(backend.new_slot())

The backend is `TrtBackend`, unchanged. The stand-in takes the place of the module `tensorrt` in
this process, which therefore belongs to the checks alone. An engine reports red pixels, as
`runtime/fake.py`.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol

from edgeseg.cards import EngineCard, GraphCard
from edgeseg.config import GpuConfig
from edgeseg.frame.geometry import Size
from edgeseg.machine.cuda_library import read_gpus
from edgeseg.runtime.base import INPUTS, tensor_types
from edgeseg.runtime.tensorrt import target_of
from edgeseg.runtime.tensorrt_backend import TrtBackend

VERSION = "10.0.0"
RED = 2  # of BGR
SIDE = 32  # of the anomaly map
_KINDS = {"uint8": "UINT8", "float32": "FLOAT"}
_ORDER = ("frame", "threshold", "mask", "score", "anomaly_map")


class InferenceKernels(Protocol):
    """What an engine needs of `Kernels`; the simulated driver has the same."""

    def infer(
        self,
        stream: int,
        addresses: tuple[int, ...],
        frame_shape: tuple[int, int, int, int],
        side: int,
        red: int,
        columns: int = 0,
    ) -> int: ...


class ILogger:
    """As in TensorRT."""

    Severity = IntEnum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE", start=0)


TensorIOMode = IntEnum("TensorIOMode", "NONE INPUT OUTPUT", start=0)
DataType = IntEnum("DataType", "FLOAT HALF INT8 INT32 BOOL UINT8 FP8 BF16", start=0)


class StandInEngine:
    """An ICudaEngine with the tensors of a plan: JSON, name -> [type, shape]."""

    def __init__(self, kernels: InferenceKernels, logger: Any, plan: dict[str, Any]) -> None:
        self.kernels, self.logger, self.tensors = kernels, logger, plan
        self.num_io_tensors = len(plan)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.tensors[name][1])

    def get_tensor_dtype(self, name: str) -> Any:
        return DataType[_KINDS[self.tensors[name][0]]]

    def get_tensor_mode(self, name: str) -> Any:
        return TensorIOMode["INPUT" if name in INPUTS else "OUTPUT"]

    device_memory_size = 0  # of activations

    def create_execution_context_without_device_memory(self) -> "StandInContext":
        return StandInContext(self)


class StandInContext:
    """An IExecutionContext."""

    def __init__(self, engine: StandInEngine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return name in self._engine.tensors

    def execute_async_v3(self, stream_handle: int) -> bool:
        code = self._engine.kernels.infer(
            stream_handle,
            tuple(self._addresses[name] for name in _ORDER),
            self._engine.get_tensor_shape("frame"),  # type: ignore[arg-type]
            SIDE,
            RED,
        )
        if code:
            self._engine.logger.log(ILogger.Severity.ERROR, f"enqueueV3: CUDA error {code}")
        return code == 0


def install(kernels: InferenceKernels) -> None:
    """Put the stand-in where `import tensorrt` finds it."""

    def new_runtime(logger: Any) -> Any:
        read = lambda data: StandInEngine(kernels, logger, json.loads(data))  # noqa: E731
        return SimpleNamespace(deserialize_cuda_engine=read)

    module: Any = ModuleType("tensorrt")
    module.__version__, module.__spec__ = VERSION, ModuleSpec("tensorrt", None)
    module.ILogger, module.Runtime = ILogger, new_runtime
    module.TensorIOMode, module.DataType = TensorIOMode, DataType
    sys.modules["tensorrt"] = module


def stand_in_card(size: Size) -> EngineCard:
    """Return the card of an engine for BGR frames of (height, width)."""
    graph = GraphCard(
        name="stand-in",
        model="destseg",
        frame_format="bgr",
        frame_shape=(1, *size, 3),
        network_size=(SIDE, SIDE),
        aspect="stretch",
        threshold=0.5,
        image_threshold=0.5,
        weights_sha256="0" * 64,
        training={"top": 1},
        versions={},
    )
    tensors = {
        name: [kind.name, list(shape)] for name, (shape, kind) in tensor_types(graph).items()
    }
    return EngineCard(
        graph=graph,
        file="stand-in.engine",
        sha256="0" * 64,
        bytes=0,
        runtime="tensorrt",
        runtime_version=VERSION,
        precision="fp32",
        target=target_of(read_gpus()[0].compute_capability),
        built_on={},
        source_sha256="0" * 64,
        inputs={name: tensor for name, tensor in tensors.items() if name in INPUTS},
        outputs={name: tensor for name, tensor in tensors.items() if name not in INPUTS},
    )


@contextmanager
def open_stand_in(kernels: InferenceKernels, *, size: Size, gpu: GpuConfig) -> Iterator[TrtBackend]:
    """Open an engine of the stand-in for BGR frames of (height, width)."""
    install(kernels)
    card = stand_in_card(size)
    with tempfile.TemporaryDirectory(prefix="edgeseg-") as folder:
        path = Path(folder) / card.file
        path.write_text(json.dumps(card.inputs | card.outputs))
        with TrtBackend.open(path, card, gpu=gpu) as backend:
            yield backend
