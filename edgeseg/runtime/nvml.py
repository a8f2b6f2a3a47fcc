"""The NVIDIA GPU, asked of the driver's own library: no torch, no CUDA context, no subprocess.

NVML comes with every driver, so a machine without the library has no driver. A library that is
there and answers with an error is reported in its own words: a broken driver must not look like a
machine without a GPU.

Source: NVML API reference, `nvml.h` (functions of version 11 and later).
"""

import ctypes
from dataclasses import dataclass
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
_TEXT = 96  # bytes; NVML_DEVICE_NAME_V2_BUFFER_SIZE, and more than a driver version needs


@dataclass(frozen=True)
class Gpu:
    """One GPU and the driver that answered for it."""

    name: str
    compute_capability: str
    """`8.6`."""
    memory_gib: float
    driver: str


class _Memory(ctypes.Structure):
    """`nvmlMemory_t`: bytes."""

    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class NvmlError(Exception):
    """A call that NVML refused: its name and NVML's words."""


def load() -> Any:
    """Open NVML; OSError where no driver has installed it."""
    return ctypes.CDLL(LIBRARY)


def read_gpus(nvml: Any) -> list[Gpu]:
    """Return every GPU that the driver shows; NvmlError when it answers with an error."""
    _call(nvml, "nvmlInit_v2")
    try:
        count = ctypes.c_uint()
        _call(nvml, "nvmlDeviceGetCount_v2", ctypes.byref(count))
        driver = ctypes.create_string_buffer(_TEXT)
        _call(nvml, "nvmlSystemGetDriverVersion", driver, ctypes.c_uint(_TEXT))
        return [_read(nvml, index, driver.value.decode()) for index in range(count.value)]
    finally:
        nvml.nvmlShutdown()


def _read(nvml: Any, index: int, driver: str) -> Gpu:
    device = ctypes.c_void_p()
    _call(nvml, "nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(device))
    name = ctypes.create_string_buffer(_TEXT)
    _call(nvml, "nvmlDeviceGetName", device, name, ctypes.c_uint(_TEXT))
    major, minor, memory = ctypes.c_int(), ctypes.c_int(), _Memory()
    _call(
        nvml,
        "nvmlDeviceGetCudaComputeCapability",
        device,
        ctypes.byref(major),
        ctypes.byref(minor),
    )
    _call(nvml, "nvmlDeviceGetMemoryInfo", device, ctypes.byref(memory))
    return Gpu(
        name=name.value.decode(),
        compute_capability=f"{major.value}.{minor.value}",
        memory_gib=round(memory.total / 2**30, 1),
        driver=driver,
    )


def _call(nvml: Any, function: str, *arguments: Any) -> None:
    code = getattr(nvml, function)(*arguments)
    if code:
        nvml.nvmlErrorString.restype = ctypes.c_char_p
        raise NvmlError(f"{function}: {nvml.nvmlErrorString(code).decode()} (code {code})")
