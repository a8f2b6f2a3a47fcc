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
# Bits of the reasons for a clock below its maximum. Idleness, settings of the user's and the pace
# of a neighbor are reasons too, and no throttling.
THROTTLING = {
    0x04: "power limit",
    0x08: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}
_GRAPHICS = _TEMPERATURE_GPU = 0  # nvmlClockType_t, nvmlTemperatureSensors_t
_TEXT = 96  # bytes; NVML_DEVICE_NAME_V2_BUFFER_SIZE, and more than a driver version needs


@dataclass(frozen=True)
class Gpu:
    """One GPU and the driver that answered for it."""

    name: str
    compute_capability: str
    """`8.6`."""
    memory_gib: float
    driver: str


@dataclass(frozen=True, kw_only=True)
class GpuState:
    """What a GPU does at this moment; None is what this GPU or its driver does not tell."""

    mhz: float | None
    max_mhz: float | None
    temperature_c: float | None
    watts: float | None
    performance_state: str | None
    """P0, the fastest, to P15."""
    throttling: tuple[str, ...] | None


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


class Monitor:
    """The first GPU of the driver, held open to be read often; whoever opens it, closes it.

    OSError: there is no driver. NvmlError: it shows no GPU, or fails.
    """

    def __init__(self) -> None:
        self._nvml = load()
        _call(self._nvml, "nvmlInit_v2")
        self._device = ctypes.c_void_p()
        try:
            first = ctypes.c_uint(0)
            _call(self._nvml, "nvmlDeviceGetHandleByIndex_v2", first, ctypes.byref(self._device))
        except NvmlError:
            self.close()
            raise

    def read(self) -> GpuState:
        """Ask for everything; what is refused is None, and the rest still holds."""
        graphics, sensor = ctypes.c_uint(_GRAPHICS), ctypes.c_uint(_TEMPERATURE_GPU)
        milliwatts = self._ask("nvmlDeviceGetPowerUsage")
        state = self._ask("nvmlDeviceGetPerformanceState")
        bits = self._reasons()
        return GpuState(
            mhz=self._ask("nvmlDeviceGetClockInfo", graphics),
            max_mhz=self._ask("nvmlDeviceGetMaxClockInfo", graphics),
            temperature_c=self._ask("nvmlDeviceGetTemperature", sensor),
            watts=None if milliwatts is None else milliwatts / 1e3,
            performance_state=None if state is None or state > 15 else f"P{state}",
            throttling=None if bits is None else _words(bits),
        )

    def close(self) -> None:
        """Let go of the library."""
        self._nvml.nvmlShutdown()

    def _reasons(self) -> int | None:
        for name in ("Event", "Throttle"):  # the old name, that older drivers have alone
            bits = self._ask(f"nvmlDeviceGetCurrentClocks{name}Reasons", kind=ctypes.c_ulonglong)
            if bits is not None:
                return bits
        return None

    def _ask(self, function: str, *arguments: Any, kind: Any = ctypes.c_uint) -> int | None:
        value = kind()
        try:
            _call(self._nvml, function, self._device, *arguments, ctypes.byref(value))
        except (NvmlError, AttributeError):  # refused; or a driver older than the function
            return None
        return int(value.value)


def _words(bits: int) -> tuple[str, ...]:
    return tuple(f"GPU: {word}" for bit, word in THROTTLING.items() if bits & bit)


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
