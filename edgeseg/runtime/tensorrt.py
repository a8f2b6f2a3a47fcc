"""The switch between TensorRT and TensorRT-RTX, and the differences between their versions.

TensorRT (`import tensorrt`, also JetPack's) builds an engine on the GPU that will run it.
TensorRT-RTX (`import tensorrt_rtx`, versions 1.x) builds for a compute capability without a GPU.
Both share one Python interface; machine/support.py lists what each release supports. Flags are
named, never numbered: STRONGLY_TYPED is 1 in TensorRT 10 and 0 in 11, where 0 was EXPLICIT_BATCH
before.

Builds were tested with TensorRT-RTX 1.7; for TensorRT the sources of 8.6 to 11.1 were read. Running
engines was tested with stand-ins on a simulated driver; nothing was run on a GPU.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgeseg.config import RuntimeName
from edgeseg.extras import require
from edgeseg.machine.support import Release


@dataclass(frozen=True)
class Flavor:
    """One of the two packages."""

    runtime: RuntimeName
    module: str
    extra: str
    tag: str
    """In the names of engine files: `bottle-fp16-rtx-sm86.engine`."""


FLAVORS: dict[str, Flavor] = {
    "tensorrt": Flavor("tensorrt", "tensorrt", "tensorrt", "trt"),
    "tensorrt-rtx": Flavor("tensorrt-rtx", "tensorrt_rtx", "rtx", "rtx"),
}


_NUMPY = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8", "INT32": "int32"}


@dataclass(frozen=True)
class Api:
    """An installed TensorRT or TensorRT-RTX."""

    flavor: Flavor
    trt: Any
    """The module."""

    @property
    def version(self) -> str:
        return str(self.trt.__version__)

    @property
    def byte(self) -> Any:
        """TensorRT's type of frames and masks."""
        return self.trt.uint8

    @property
    def release(self) -> Release:
        """Its row of the support matrix."""
        return Release(self.flavor.runtime, self.version)

    @property
    def ahead_of_time(self) -> bool:
        """Whether it builds without the target GPU."""
        return self.release.ahead_of_time

    @property
    def weak(self) -> bool:
        """Whether builder flags can select types (until TensorRT 10)."""
        return self.release.weak

    @property
    def strong(self) -> bool:
        """Whether networks can be strongly typed (since TensorRT 9)."""
        return self.release.strong

    @property
    def targets(self) -> tuple[str, ...]:
        """The compute capabilities (`8.6`) that it builds for without a GPU."""
        if not self.ahead_of_time:
            return ()
        names = self.trt.ComputeCapability.__members__
        return tuple(capability_of(name) for name in names if name.startswith("SM"))

    def network_flags(self, *, weak: bool) -> int:
        """Return the bit mask for `create_network`."""
        flags = self.trt.NetworkDefinitionCreationFlag
        if weak:
            return 1 << int(flags.EXPLICIT_BATCH) if self.release.implicit_batch else 0
        # Without weak typing every network is strongly typed, and the flag causes a warning.
        return 1 << int(flags.STRONGLY_TYPED) if self.weak and self.strong else 0


def load(runtime: str) -> Api:
    """Import `tensorrt` or `tensorrt-rtx`; MissingExtra when it is not installed."""
    flavor = FLAVORS[runtime]
    return Api(flavor, require(flavor.module, extra=flavor.extra))


def target_of(capability: str) -> str:
    """`8.6` -> `sm86`, the target in cards and file names."""
    return "sm" + capability.replace(".", "")


def capability_of(target: str) -> str:
    """`sm86` or `SM86` -> `8.6`."""
    return f"{target[2:-1]}.{target[-1]}"


def logger(library: Any, keep: Callable[[str, str], None]) -> Any:
    """Return a logger that calls `keep(severity, text)`, with severities such as `WARNING`."""

    class Collector(library.ILogger):  # type: ignore[misc]  # known at run time only
        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            keep(severity.name, text)

    return Collector()


@dataclass(frozen=True)
class IoTensor:
    """An input or output of an engine."""

    type: str
    """NumPy's name, `uint8`; TensorRT's where NumPy has none."""
    shape: tuple[int, ...]
    input: bool

    def __str__(self) -> str:
        return f"{'input' if self.input else 'output'} {self.type} {list(self.shape)}"


def new_runtime(library: Any, collector: Any) -> Any:
    """Return the object that reads engines; it must outlive them."""
    return library.Runtime(collector)


def read_engine(runtime: Any, data: bytes) -> Any:
    """Return the engine, or None; the log has the reason."""
    return runtime.deserialize_cuda_engine(data)


def io_tensors(library: Any, engine: Any) -> dict[str, IoTensor]:
    """Return an engine's inputs and outputs by name."""
    found = {}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        kind = engine.get_tensor_dtype(name).name
        taken = engine.get_tensor_mode(name) == library.TensorIOMode.INPUT
        shape = tuple(int(size) for size in engine.get_tensor_shape(name))
        found[name] = IoTensor(_NUMPY.get(kind, kind), shape, taken)
    return found


def captures_itself(library: Any) -> bool:
    """Whether contexts capture CUDA graphs by themselves (TensorRT-RTX)."""
    return hasattr(library, "CudaGraphStrategy")


def new_context(library: Any, engine: Any, addresses: Mapping[str, int], *, capture: bool) -> Any:
    """Return a context on fixed addresses, or None; the log has the reason.

    capture: TensorRT-RTX captures the context's work as a CUDA graph; others ignore it.
    """
    if capture and hasattr(library, "CudaGraphStrategy"):
        options = engine.create_runtime_config()
        options.cuda_graph_strategy = library.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        context = engine.create_execution_context(options)
    else:
        context = engine.create_execution_context()
    if context is None:
        return None
    taken = [context.set_tensor_address(name, address) for name, address in addresses.items()]
    return context if all(taken) else None


def report_layers(context: Any, clock: Any) -> None:
    """Report layer times to a profiler, from the context's next run on."""
    context.profiler = clock


def inspect(library: Any, engine: Any) -> str:
    """Return an engine's layers as JSON."""
    inspector = engine.create_engine_inspector()
    return str(inspector.get_engine_information(library.LayerInformationFormat.JSON))


def enqueue(context: Any, stream: int) -> bool:
    """Enqueue one inference in a stream other than the default one."""
    return bool(context.execute_async_v3(stream))
