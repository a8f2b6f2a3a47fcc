"""The CUDA driver API through one of two bindings; the only file that imports them.

    cuda-python   `cuda.bindings.driver` of 12.x and 13.x (`cuda.cuda` before 12.6): wheels
    PyCUDA        built from source; CUDA graphs, which it lacks, through ctypes

Both retain the device's primary context, which TensorRT and PyTorch use too, and make it current in
each calling thread. `resources.py` is the interface for the rest of edgeseg. Tested against a
simulated driver, on an H100 and an H200.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from edgeseg.config import Binding
from edgeseg.cuda.resources import Bytes, CudaContext, Handle
from edgeseg.errors import CudaError
from edgeseg.files import quoted
from edgeseg.machine.cuda_library import LIBRARY, driver_cuda
from edgeseg.packages.extras import installed, require

_DEVICEMAP = 2  # CU_MEMHOSTALLOC_DEVICEMAP
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: no synchronization with the default stream
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: calls of other threads are allowed

REMEDIES = {
    "CUDA_ERROR_OUT_OF_MEMORY": "free GPU memory (see nvidia-smi; on a Jetson tegrastats), "
    "or export a smaller frame: edgeseg export --frame-size WIDTHxHEIGHT",
    "CUDA_ERROR_INVALID_DEVICE": "edgeseg doctor lists the GPUs; the first one is --device 0",
    "CUDA_ERROR_NO_DEVICE": "edgeseg doctor; in a container: docker run --gpus all, on a Jetson "
    "--runtime nvidia; unset CUDA_VISIBLE_DEVICES",
    "CUDA_ERROR_STUB_LIBRARY": f"remove the toolkit's stubs from LD_LIBRARY_PATH: {LIBRARY} must "
    "be the driver's own",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": "restart the machine: the driver was updated while loaded",
    **dict.fromkeys(
        ("CUDA_ERROR_INSUFFICIENT_DRIVER", "CUDA_ERROR_NOT_SUPPORTED"),
        "install a newer NVIDIA driver, or an older binding: pip install 'cuda-bindings==12.*'",
    ),
    **dict.fromkeys(
        ("CUDA_ERROR_ILLEGAL_ADDRESS", "CUDA_ERROR_LAUNCH_FAILED", "CUDA_ERROR_ECC_UNCORRECTABLE"),
        "restart the program (the CUDA context is lost); details: dmesg | grep -i -e xid -e nvgpu",
    ),
}
_CODES = {
    "CUDA_ERROR_OUT_OF_MEMORY": "cuda/out-of-memory",
    **dict.fromkeys(("CUDA_ERROR_NO_DEVICE", "CUDA_ERROR_INVALID_DEVICE"), "cuda/no-device"),
}
_LAST_ERROR = 999  # CUDA_ERROR_UNKNOWN
_REMEDY = "run edgeseg doctor, and report this error with its output"


def found_bindings() -> tuple[Binding, ...]:
    """Return the installed bindings, the preferred one first, without importing them."""
    found: list[Binding] = []
    if find_spec("cuda") is not None and any(map(_has, ("cuda.bindings", "cuda.cuda"))):
        found.append("cuda-python")
    if find_spec("pycuda") is not None:
        found.append("pycuda")
    return tuple(found)


def open_cuda(binding: Binding = "auto", device: int = 0) -> CudaContext:
    """Open a GPU by CUDA's number.

    MissingExtra without a binding, CudaError without a driver or such a GPU.
    """
    drivers: dict[str, type[Driver]] = {"cuda-python": CudaPython, "pycuda": PyCuda}
    if binding == "auto":
        binding = next(iter(found_bindings()), "cuda-python")
    return CudaContext(drivers[binding](device))


class CudaPython:
    """NVIDIA's cuda-python; each call returns (result code, values...).

    `with driver:` makes the context current.
    """

    def __init__(self, device: int = 0) -> None:
        self._cu = _import_driver()
        version = installed("cuda-bindings") or installed("cuda-python") or "(unknown version)"
        self.name = f"cuda-python {version}"
        self._call("cuInit", 0)
        self._device = self._call("cuDeviceGet", device)
        self._library = ctypes.CDLL(LIBRARY)
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)

    def __enter__(self) -> "CudaPython":
        self._call("cuCtxSetCurrent", self._context)
        return self

    def __exit__(self, *raised: object) -> None:
        """Leave the context current: the runtime API would make the same one current again."""

    def _call(self, function: str, *arguments: Any) -> Any:
        try:
            code, *values = getattr(self._cu, function)(*arguments)
        except RuntimeError as error:  # from cuda-python: a missing library or function
            raise _no_driver(function, error) from error
        if code:
            name = getattr(code, "name", str(code))
            raise _failed(function, name, int(code))
        return values[0] if values else None

    def _wait(self, function: str, handle: Handle) -> None:
        """Call a function that waits, through ctypes, which releases the GIL.

        cuda-bindings before 12.9.1, and cuda-python before 12.6, keep it until the device is done.
        """
        if code := getattr(self._library, function)(ctypes.c_void_p(int(handle))):
            raise _failed(function, self._cu.CUresult(code).name, code)

    def attribute(self, name: str) -> int:
        """Return a device attribute by its name without `CU_DEVICE_ATTRIBUTE_`."""
        attribute = getattr(self._cu.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(self._call("cuDeviceGetAttribute", attribute, self._device))

    def device_name(self) -> str:
        name: bytes = self._call("cuDeviceGetName", 96, self._device)
        return name.split(b"\0")[0].decode()

    def close(self) -> None:
        """Release the context."""
        self._call("cuDevicePrimaryCtxRelease", self._device)

    def pinned_new(self, nbytes: int) -> tuple[Handle, Bytes]:
        """Allocate page-locked memory, mapped into the device's addresses."""
        address = int(self._call("cuMemHostAlloc", nbytes, _DEVICEMAP))
        memory = (ctypes.c_uint8 * nbytes).from_address(address)
        return address, np.ctypeslib.as_array(memory)

    def pinned_mapped(self, pinned: Handle) -> int:
        """Return the address of pinned memory on the device."""
        return int(self._call("cuMemHostGetDevicePointer", pinned, 0))

    def pinned_free(self, pinned: Handle) -> None:
        self._call("cuMemFreeHost", pinned)

    def device_new(self, nbytes: int) -> Handle:
        return int(self._call("cuMemAlloc", nbytes))

    def device_free(self, memory: Handle) -> None:
        self._call("cuMemFree", memory)

    def stream_new(self) -> Handle:
        return self._call("cuStreamCreate", _NON_BLOCKING)

    def stream_pointer(self, stream: Handle) -> int:
        return int(stream)

    def stream_wait(self, stream: Handle, event: Handle) -> None:
        self._call("cuStreamWaitEvent", stream, event, 0)

    def stream_synchronize(self, stream: Handle) -> None:
        self._wait("cuStreamSynchronize", stream)

    def stream_free(self, stream: Handle) -> None:
        self._call("cuStreamDestroy", stream)

    def event_new(self, flags: int) -> Handle:
        return self._call("cuEventCreate", flags)

    def event_record(self, event: Handle, stream: Handle) -> None:
        self._call("cuEventRecord", event, stream)

    def event_synchronize(self, event: Handle) -> None:
        self._wait("cuEventSynchronize", event)

    def event_milliseconds(self, start: Handle, end: Handle) -> float:
        # Through ctypes: the binding requires the function of CUDA 12.8 since that release, and
        # JetPack 6 (CUDA 12.6) has only the older one.
        found, events = ctypes.c_float(), [ctypes.c_void_p(int(event)) for event in (start, end)]
        if code := self._library.cuEventElapsedTime(ctypes.byref(found), *events):
            raise _failed("cuEventElapsedTime", self._cu.CUresult(code).name, code)
        return found.value

    def event_free(self, event: Handle) -> None:
        self._call("cuEventDestroy", event)

    def copy_in(self, target: int, source: Bytes, address: int, stream: Handle) -> None:
        """Enqueue a copy of host memory, which begins at `address`, to the device."""
        self._call("cuMemcpyHtoDAsync", target, address, source.nbytes, stream)

    def copy_out(self, target: Bytes, address: int, source: int, stream: Handle) -> None:
        self._call("cuMemcpyDtoHAsync", address, source, target.nbytes, stream)

    def capture_begin(self, stream: Handle) -> None:
        mode = self._cu.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", stream, mode)

    def capture_end(self, stream: Handle) -> Handle:
        """Return the instantiated graph."""
        graph = self._call("cuStreamEndCapture", stream)
        try:
            return self._call("cuGraphInstantiate", graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)

    def graph_launch(self, graph: Handle, stream: Handle) -> None:
        self._call("cuGraphLaunch", graph, stream)

    def graph_free(self, graph: Handle) -> None:
        self._call("cuGraphExecDestroy", graph)


class PyCuda:
    """PyCUDA, whose objects are freed with their last reference.

    The primary context is retained as in `pycuda.autoprimaryctx`, but pushed and popped around
    calls: that module leaves it on the stack of the importing thread until exit.
    """

    def __init__(self, device: int = 0) -> None:
        self._cu = require("pycuda.driver", extra="pycuda")
        self.name = f"pycuda {installed('pycuda') or '(unknown version)'}"
        self._do(self._cu.init)
        self._device = self._do(self._cu.Device, device)
        self._context = self._do(self._device.retain_primary_context)
        self._driver = ctypes.CDLL(LIBRARY)

    def __enter__(self) -> "PyCuda":
        self._context.push()
        return self

    def __exit__(self, *raised: object) -> None:
        self._cu.Context.pop()

    def _do(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call PyCUDA; its errors read `cuMemHostAlloc failed: out of memory`."""
        try:
            return call(*arguments)
        except self._cu.Error as failed:
            function, _, words = str(failed).split(" - ")[0].partition(" failed: ")
            raise _failed(function, *_named(words)) from failed

    def attribute(self, name: str) -> int:
        return int(self._device.get_attribute(getattr(self._cu.device_attribute, name)))

    def device_name(self) -> str:
        return str(self._device.name())

    def close(self) -> None:
        self._do(self._context.detach)
        self._context = None

    def pinned_new(self, nbytes: int) -> tuple[Handle, Bytes]:
        flags = self._cu.host_alloc_flags.DEVICEMAP
        array: Bytes = self._do(self._cu.pagelocked_empty, nbytes, np.uint8, "C", flags)
        return array.base, array

    def pinned_mapped(self, pinned: Handle) -> int:
        return int(self._do(pinned.get_device_pointer))

    def pinned_free(self, pinned: Handle) -> None:
        self._do(pinned.free)

    def device_new(self, nbytes: int) -> Handle:
        return self._do(self._cu.mem_alloc, nbytes)

    def device_free(self, memory: Handle) -> None:
        self._do(memory.free)

    def stream_new(self) -> Handle:
        return self._do(self._cu.Stream, _NON_BLOCKING)

    def stream_pointer(self, stream: Handle) -> int:
        return int(stream.handle)

    def stream_wait(self, stream: Handle, event: Handle) -> None:
        self._do(stream.wait_for_event, event)

    def stream_synchronize(self, stream: Handle) -> None:
        self._do(stream.synchronize)

    def stream_free(self, stream: Handle) -> None:
        """Nothing: it is freed with its last reference."""

    def event_new(self, flags: int) -> Handle:
        return self._do(self._cu.Event, flags)

    def event_record(self, event: Handle, stream: Handle) -> None:
        self._do(event.record, stream)

    def event_synchronize(self, event: Handle) -> None:
        self._do(event.synchronize)

    def event_milliseconds(self, start: Handle, end: Handle) -> float:
        return float(self._do(end.time_since, start))

    def event_free(self, event: Handle) -> None:
        """Nothing: it is freed with its last reference."""

    def copy_in(self, target: int, source: Bytes, address: int, stream: Handle) -> None:
        self._do(self._cu.memcpy_htod_async, target, source, stream)

    def copy_out(self, target: Bytes, address: int, source: int, stream: Handle) -> None:
        self._do(self._cu.memcpy_dtoh_async, target, source, stream)

    def _call(self, function: str, *arguments: Any) -> None:
        if code := getattr(self._driver, function)(*arguments):
            text = ctypes.c_char_p()
            self._driver.cuGetErrorName(code, ctypes.byref(text))
            raise _failed(function, (text.value or b"unknown error").decode(), code)

    def capture_begin(self, stream: Handle) -> None:
        self._call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream.handle), _THREAD_LOCAL)

    def capture_end(self, stream: Handle) -> Handle:
        graph, ready = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuStreamEndCapture", ctypes.c_void_p(stream.handle), ctypes.byref(graph))
        flags = ctypes.c_ulonglong(0)
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(ready), graph, flags)
        finally:
            self._call("cuGraphDestroy", graph)
        return ready

    def graph_launch(self, graph: Handle, stream: Handle) -> None:
        self._call("cuGraphLaunch", graph, ctypes.c_void_p(stream.handle))

    def graph_free(self, graph: Handle) -> None:
        self._call("cuGraphExecDestroy", graph)


Driver = CudaPython | PyCuda


def _import_driver() -> Any:
    """Import cuda-python's driver module, `cuda.cuda` before 12.6."""
    if _has("cuda.bindings") or not _has("cuda.cuda"):
        return require("cuda.bindings.driver", extra="tensorrt")
    return require("cuda.cuda", extra="tensorrt")


def raw_call(function: str, *arguments: Any) -> None:
    """Call a function of the driver library itself, without a binding; CudaError if it fails.

    For objects of other libraries, which a binding does not accept; a context has to be current.
    """
    driver = _library()
    if code := getattr(driver, function)(*arguments):
        text = ctypes.c_char_p()
        driver.cuGetErrorName(code, ctypes.byref(text))
        raise _failed(function, (text.value or b"unknown error").decode(), code)


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(LIBRARY)


def _has(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _failed(function: str, name: str, code: int | None = None) -> CudaError:
    number = "" if code is None else f" ({code})"
    return CudaError(
        f"{function} failed with {name}{number}.",
        remedy=REMEDIES.get(name, _REMEDY),
        code=_CODES.get(name, CudaError.default_code),
    )


def _named(words: str) -> tuple[str, int | None]:
    """Return the name and number of the error that the driver describes in these words."""
    try:
        driver = ctypes.CDLL(LIBRARY)
    except OSError:
        return words, None
    text = ctypes.c_char_p()
    for code in range(1, _LAST_ERROR + 1):
        driver.cuGetErrorString(code, ctypes.byref(text))
        if (text.value or b"").decode() == words:
            driver.cuGetErrorName(code, ctypes.byref(text))
            return (text.value or b"").decode(), code
    return words, None


def _no_driver(function: str, error: Exception) -> CudaError:
    """Explain a binding that finds no driver, or one that is older than the binding."""
    words, cuda = str(error).rstrip("."), driver_cuda()
    if cuda is None:
        remedy = f"install NVIDIA's driver, or {REMEDIES['CUDA_ERROR_NO_DEVICE']}"
        return CudaError(f"no NVIDIA driver: {words}.", remedy=remedy, code="cuda/no-driver")
    binding = f"cuda-bindings=={cuda.partition('.')[0]}.*"
    return CudaError(
        f"the NVIDIA driver of CUDA {cuda} does not provide {function}: {words}.",
        remedy=f"pip install {quoted(binding)}",
        code="cuda/old-driver",
    )
