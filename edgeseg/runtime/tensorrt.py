"""The switch between TensorRT and TensorRT-RTX, and the differences between their versions.

TensorRT (`import tensorrt`, also JetPack's) builds an engine on the GPU that will run it.
TensorRT-RTX (`import tensorrt_rtx`, versions 1.x) builds for a compute capability without a GPU.
Both share one Python interface; machine/support.py lists what each release supports. Flags are
named, never numbered: STRONGLY_TYPED is 1 in TensorRT 10 and 0 in 11, where 0 was EXPLICIT_BATCH
before.

Builds were tested with TensorRT-RTX 1.7. What is used of TensorRT is compared with the bindings of
8.6.1, 10.3, 10.16 and 11.4. Running engines was tested with stand-ins, on a simulated driver, an
H100 and an H200; no real engine was run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeseg.extras import require
from edgeseg.machine.support import Release
from edgeseg.runtime.choice import PACKAGES, RuntimePackage

FLAVORS: dict[str, RuntimePackage] = {
    package.runtime: package for package in PACKAGES if package.tag
}


@dataclass(frozen=True)
class Api:
    """An installed TensorRT or TensorRT-RTX."""

    flavor: RuntimePackage
    trt: Any
    """The module."""

    @property
    def version(self) -> str:
        return str(self.trt.__version__)

    @property
    def release(self) -> Release:
        """Its row of the support matrix."""
        return Release(self.flavor.runtime, self.version)

    @property
    def targets(self) -> tuple[str, ...]:
        """The compute capabilities (`8.6`) that it builds for without a GPU."""
        if not self.release.ahead_of_time:
            return ()
        names = self.trt.ComputeCapability.__members__
        return tuple(capability_of(name) for name in names if name.startswith("SM"))

    def network_flags(self, *, weak: bool) -> int:
        """Return the bit mask for `create_network`."""
        flags = self.trt.NetworkDefinitionCreationFlag
        if weak:
            return 1 << int(flags.EXPLICIT_BATCH) if self.release.implicit_batch else 0
        # Without weak typing every network is strongly typed, and the flag causes a warning.
        return 1 << int(flags.STRONGLY_TYPED) if self.release.weak and self.release.strong else 0

    def new_context(self, engine: Any, *, captures_graph: bool = False) -> Any:
        """Create an execution context without activation memory; None where TensorRT refuses."""
        if not hasattr(self.trt, "ExecutionContextAllocationStrategy"):  # before 10
            return engine.create_execution_context_without_device_memory()
        lent = self.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not captures_graph:
            return engine.create_execution_context(lent)
        options = engine.create_runtime_config()
        options.set_execution_context_allocation_strategy(lent)
        options.cuda_graph_strategy = self.trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return engine.create_execution_context(options)

    def activation_bytes(self, engine: Any) -> int:
        """Return how much activation memory a context of an engine needs."""
        if hasattr(engine, "device_memory_size_v2"):  # since 10.1
            return int(engine.device_memory_size_v2)
        return int(engine.device_memory_size)

    def lend_memory(self, context: Any, address: int, size: int) -> None:
        """Give a context its activation memory; another may use it after this one's work."""
        if hasattr(context, "set_device_memory"):  # since 10.1
            context.set_device_memory(address, size)
        else:
            context.device_memory = address


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
