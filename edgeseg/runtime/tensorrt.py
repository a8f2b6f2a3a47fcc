"""The switch between TensorRT and TensorRT-RTX, and the differences between their versions.

TensorRT (`import tensorrt`, also JetPack's) builds an engine on the GPU that will run it.
TensorRT-RTX (`import tensorrt_rtx`, versions 1.x) builds for a compute capability without a GPU.
Both share one Python interface; machine/support.py lists what each release supports. Flags are
named, never numbered: STRONGLY_TYPED is 1 in TensorRT 10 and 0 in 11, where 0 was EXPLICIT_BATCH
before.

Builds were tested with TensorRT-RTX 1.7. What is used of TensorRT is compared with the bindings of
8.6.1, 10.3, 10.16 and 11.4. Running engines was tested with stand-ins, on a simulated driver, an
H100 and an H200; no real engine was run.

A driver that is older than the CUDA of a wheel is the usual reason why TensorRT does not start. It
logs an error and answers with nothing, or with an object that crashes in its next call.
"""

import ctypes
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from edgeseg.cuda.driver import REMEDIES
from edgeseg.cuda.kernel_cache import KernelCache
from edgeseg.errors import CudaError
from edgeseg.machine.cuda_library import driver_cuda
from edgeseg.machine.facts import this_machine
from edgeseg.machine.support import Release
from edgeseg.packages.extras import require
from edgeseg.runtime.choice import LEAN, PACKAGES, RuntimePackage, cuda_of, newer_driver, older

FLAVORS: dict[str, RuntimePackage] = {
    package.runtime: package for package in PACKAGES if package.tag
}
SEVERE = ("ERROR", "INTERNAL_ERROR")
OLD_DRIVER = re.compile(r"error: 35\b|cudaError 35\b|driver version is insufficient", re.IGNORECASE)
# What a failed call says, and the driver's name of it.
_MEANINGS = (
    (re.compile(r"out ?of ?memory|insufficient memory", re.IGNORECASE), "CUDA_ERROR_OUT_OF_MEMORY"),
    (re.compile(r"illegal memory access|launch failure|uncorrectable", re.IGNORECASE),
     "CUDA_ERROR_LAUNCH_FAILED"),
)  # fmt: skip


@dataclass(frozen=True)
class Api:
    """An installed TensorRT or TensorRT-RTX."""

    flavor: RuntimePackage
    trt: Any
    """The module."""
    lean: bool = False
    """Whether it is the lean runtime, which runs engines that were built for it."""

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

    @property
    def compiles_kernels(self) -> bool:
        """Whether contexts compile their kernels, which a cache can keep."""
        return hasattr(self.trt, "IRuntimeCache")

    def new_context(
        self, engine: Any, *, captures_graph: bool = False, kernels: KernelCache | None = None
    ) -> Any:
        """Create an execution context without activation memory; None where TensorRT refuses.

        captures_graph, kernels: of TensorRT-RTX.
        """
        if not hasattr(self.trt, "ExecutionContextAllocationStrategy"):  # before 10
            return engine.create_execution_context_without_device_memory()
        lent = self.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not captures_graph and kernels is None:
            return engine.create_execution_context(lent)
        options = engine.create_runtime_config()
        options.set_execution_context_allocation_strategy(lent)
        if captures_graph:
            options.cuda_graph_strategy = self.trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if kernels is not None:
            kernels.give(options)
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


def load(runtime: str, *, lean: bool = False) -> Api:
    """Import `tensorrt` or `tensorrt-rtx`; MissingExtra when it is not installed.

    Where only TensorRT's lean runtime is installed, `tensorrt` is that one. lean: to run an engine
    that was built for it; it is preferred then.
    """
    flavor = FLAVORS[runtime]
    if runtime == LEAN.runtime and (lean or not _has(flavor.module)) and _has(LEAN.module):
        flavor = LEAN
    return Api(flavor, require(flavor.module, extra=flavor.extra), lean=flavor is LEAN)


def _has(module: str) -> bool:
    return module in sys.modules or find_spec(module) is not None


def target_of(*capabilities: str) -> str:
    """`8.6` -> `sm86`, `8.6`, `12.0` -> `sm86-sm120`: the target in cards and file names."""
    return "-".join("sm" + capability.replace(".", "") for capability in capabilities)


def runs_on(target: str, capability: str) -> bool:
    """Whether an engine for a target runs on a GPU."""
    return target_of(capability) in target.split("-")


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


def start(
    api: Api, kind: Literal["Builder", "Runtime"], keep: Callable[[str, str], None]
) -> tuple[Any, Any]:
    """Create a Builder or a Runtime and its logger, which calls `keep(severity, text)`.

    CudaError with TensorRT's messages, its CUDA and the driver's where it does not start.
    """
    said: list[str] = []

    def listen(severity: str, text: str) -> None:
        if severity in SEVERE:
            said.append(text)
        keep(severity, text)

    listener = logger(api.trt, listen)
    try:
        started = getattr(api.trt, kind)(listener)
    except TypeError as error:  # pybind11: the library answered with a null pointer
        raise not_started(api, said or [str(error)]) from error
    if started is None or said:
        # Its destructor crashes, too (seen with 10.16 and 11.4): a reference that is never dropped.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(started))
        raise not_started(api, said)
    return started, listener


def not_started(api: Api, said: Sequence[str]) -> CudaError:
    """Return the error of a TensorRT that does not start."""
    here, needed, has = this_machine(), cuda_of(api.flavor, api.version), driver_cuda()
    found = f"{api.release} does not start: {'; '.join(said) or 'no reason given'}."
    if needed:
        found += f" It was built for CUDA {needed}."
    if has:
        found += f" The driver {here.driver or '(version unknown)'} supports CUDA {has}."
    old = older(has, needed) or any(map(OLD_DRIVER.search, said))
    return CudaError(
        found,
        remedy=newer_driver(api.flavor, needed, here)
        if old
        else "run edgeseg doctor, and report this error with its output",
        code="cuda/old-driver" if old else "cuda/tensorrt-start",
    )


def remedy_of(said: Sequence[str]) -> str | None:
    """Return what helps against a failed call of TensorRT; None where the engine is to blame."""
    for words, name in _MEANINGS:
        if any(map(words.search, said)):
            return REMEDIES[name]
    return None
