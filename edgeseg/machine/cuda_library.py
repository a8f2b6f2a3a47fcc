"""The GPUs as the CUDA driver numbers them, from its own library: no binding, no context.

    read_gpus()      every GPU, CUDA's first one first
    driver_cuda()    `12.4`, the CUDA that the driver supports

NVML numbers GPUs by their place on the bus, CUDA the fastest first and CUDA_VISIBLE_DEVICES alone;
CUDA's numbers are those of PyTorch and TensorRT.
"""

import ctypes
import os
from dataclasses import dataclass
from typing import Any

from edgeseg.machine.nvml import DriverError, NoDriver

LIBRARY = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
# CUdevice_attribute
_INTEGRATED, _MAJOR, _MINOR = 18, 75, 76
NO_DEVICE = "CUDA_ERROR_NO_DEVICE"
_NAME, _BUS_ID = 96, 32  # bytes, with the final 0


@dataclass(frozen=True)
class CudaGpu:
    """One GPU as CUDA reports it; None for what its driver refuses."""

    name: str
    compute_capability: str
    """`8.6`."""
    integrated: bool = False
    """Whether it shares the CPU's memory, as on a Jetson."""
    memory_gib: float | None = None
    bus_id: str | None = None
    """`0000:01:00.0`; None for an integrated GPU that is on no bus."""


def driver_cuda() -> str | None:
    """Return the CUDA version that the driver supports; None without a driver."""
    try:
        return _version(_loaded())
    except NoDriver:
        return None


def read_gpus() -> tuple[CudaGpu, ...]:
    """Return every GPU in CUDA's order.

    Errors: NoDriver without the library, DriverError in the driver's words, which has NO_DEVICE
    where there is none.
    """
    library = _loaded()
    _do(library, "cuInit", 0)
    count = ctypes.c_int()
    _do(library, "cuDeviceGetCount", ctypes.byref(count))
    return tuple(_read(library, number) for number in range(count.value))


def _loaded() -> Any:
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NoDriver(f"{LIBRARY} cannot be loaded ({error})") from error


def _version(library: Any) -> str | None:
    number = ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(number)) or not number.value:
        return None
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def _read(library: Any, number: int) -> CudaGpu:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(_NAME)
    _do(library, "cuDeviceGet", ctypes.byref(device), number)
    _do(library, "cuDeviceGetName", name, _NAME, device)
    memory, bus_id = ctypes.c_size_t(), ctypes.create_string_buffer(_BUS_ID)
    has_memory = not library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    on_a_bus = not library.cuDeviceGetPCIBusId(bus_id, _BUS_ID, device)
    major, minor = (_attribute(library, each, device) for each in (_MAJOR, _MINOR))
    return CudaGpu(
        name=name.value.decode(errors="replace"),
        compute_capability=f"{major}.{minor}",
        integrated=bool(_attribute(library, _INTEGRATED, device)),
        memory_gib=round(memory.value / 2**30, 1) if has_memory else None,
        bus_id=bus_id.value.decode() if on_a_bus else None,
    )


def _attribute(library: Any, number: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _do(library, "cuDeviceGetAttribute", ctypes.byref(value), number, device)
    return value.value


def _do(library: Any, function: str, *arguments: Any) -> None:
    if code := getattr(library, function)(*arguments):
        text = ctypes.c_char_p()
        library.cuGetErrorName(code, ctypes.byref(text))
        name = (text.value or b"an unknown error").decode()
        raise DriverError(f"{function}: {name} (CUDA error {code})")
