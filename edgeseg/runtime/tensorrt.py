"""TensorRT and TensorRT-RTX: the one switch between them, and what each version can do.

TensorRT (`import tensorrt`, also JetPack's) builds an engine on the GPU that will run it.
TensorRT-RTX (`import tensorrt_rtx`, versions 1.x) builds for a compute capability, on a machine
with no GPU at all. Both share one Python interface, from which things came and went: matrix.py says
which release has what, and flags are asked for by name, never by number. STRONGLY_TYPED is 1 in
TensorRT 10 and 0 in 11, where 0 was EXPLICIT_BATCH before.

TensorRT-RTX 1.7 was run for this file, building; of TensorRT the sources of 8.6 to 11.1 were read.
Running engines was tried with modules that carry TensorRT's names on a simulated driver; nothing
was run on a GPU.
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
    """In the names of engines: `bottle-fp16-rtx-sm86.engine`."""


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
        """TensorRT's type of a byte: of frames and masks."""
        return self.trt.uint8

    @property
    def release(self) -> Release:
        """What the matrix knows of it."""
        return Release(self.flavor.runtime, self.version)

    @property
    def ahead_of_time(self) -> bool:
        """Whether it builds for a GPU that is not there."""
        return self.release.ahead_of_time

    @property
    def weak(self) -> bool:
        """Whether builder flags can still choose types (until TensorRT 10)."""
        return self.release.weak

    @property
    def strong(self) -> bool:
        """Whether the graph's own types can be obeyed (since TensorRT 9)."""
        return self.release.strong

    @property
    def targets(self) -> tuple[str, ...]:
        """The compute capabilities that it builds for ahead of time: `8.6`."""
        if not self.ahead_of_time:
            return ()
        names = self.trt.ComputeCapability.__members__
        return tuple(capability_of(name) for name in names if name.startswith("SM"))

    def network_flags(self, *, weak: bool) -> int:
        """Return what `create_network` takes, as a bit mask."""
        flags = self.trt.NetworkDefinitionCreationFlag
        if weak:
            return 1 << int(flags.EXPLICIT_BATCH) if self.release.implicit_batch else 0
        # Without weak typing every network is strongly typed, and the flag draws a warning.
        return 1 << int(flags.STRONGLY_TYPED) if self.weak and self.strong else 0


def load(runtime: str) -> Api:
    """Import `tensorrt` or `tensorrt-rtx`; MissingExtra when it is not installed."""
    flavor = FLAVORS[runtime]
    return Api(flavor, require(flavor.module, extra=flavor.extra))


def target_of(capability: str) -> str:
    """`8.6` -> `sm86`, as targets are written in cards and names."""
    return "sm" + capability.replace(".", "")


def capability_of(target: str) -> str:
    """`sm86` or `SM86` -> `8.6`."""
    return f"{target[2:-1]}.{target[-1]}"


def logger(library: Any, keep: Callable[[str, str], None]) -> Any:
    """Return a logger that hands each message to `keep`, with its severity: `WARNING`."""

    class Collector(library.ILogger):  # type: ignore[misc]  # the module is known at run time only
        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            keep(severity.name, text)

    return Collector()


@dataclass(frozen=True)
class IoTensor:
    """An input or output of an engine."""

    type: str
    """As NumPy calls it, `uint8`; in TensorRT's own word where NumPy has none."""
    shape: tuple[int, ...]
    input: bool

    def __str__(self) -> str:
        return f"{'input' if self.input else 'output'} {self.type} {list(self.shape)}"


def new_runtime(library: Any, collector: Any) -> Any:
    """Open what reads engines; it has to live as long as they do."""
    return library.Runtime(collector)


def read_engine(runtime: Any, data: bytes) -> Any:
    """Return the engine, or None: the log then says why."""
    return runtime.deserialize_cuda_engine(data)


def io_tensors(library: Any, engine: Any) -> dict[str, IoTensor]:
    """Return what an engine takes and gives, by name."""
    found = {}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        kind = engine.get_tensor_dtype(name).name
        taken = engine.get_tensor_mode(name) == library.TensorIOMode.INPUT
        shape = tuple(int(size) for size in engine.get_tensor_shape(name))
        found[name] = IoTensor(_NUMPY.get(kind, kind), shape, taken)
    return found


def captures_itself(library: Any) -> bool:
    """Whether contexts can capture their work as a CUDA graph: TensorRT-RTX's."""
    return hasattr(library, "CudaGraphStrategy")


def new_context(library: Any, engine: Any, addresses: Mapping[str, int], *, capture: bool) -> Any:
    """Return a context on fixed addresses, or None: the log then says why.

    capture: let TensorRT-RTX make a CUDA graph of its work; others cannot.
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
    """Have a context tell a profiler how long each layer took, from its next run on."""
    context.profiler = clock


def inspect(library: Any, engine: Any) -> str:
    """Return an engine's layers as JSON."""
    inspector = engine.create_engine_inspector()
    return str(inspector.get_engine_information(library.LayerInformationFormat.JSON))


def enqueue(context: Any, stream: int) -> bool:
    """Put one inference into a stream, which is not the default one."""
    return bool(context.execute_async_v3(stream))
