"""The NVIDIA GPU as its driver reports it (NVML), without torch, a CUDA context or a subprocess.

Uses `pynvml` of the package nvidia-ml-py, which loads the driver's own library. A missing library
or package is told apart from a driver that fails: a broken driver must not look like no GPU.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edgeseg.closing import Closing

# Reasons for a clock below its maximum that count as throttling; idleness, the user's settings and
# synchronization with other GPUs do not.
THROTTLING = {
    "SwPowerCap": "power limit",
    "HwSlowdown": "hardware slowdown",
    "SwThermalSlowdown": "heat (software)",
    "HwThermalSlowdown": "heat (hardware)",
    "HwPowerBrakeSlowdown": "power brake",
}


@dataclass(frozen=True)
class Gpu:
    """One GPU and its driver."""

    name: str
    compute_capability: str
    """`8.6`."""
    memory_gib: float
    driver: str


@dataclass(frozen=True, kw_only=True)
class GpuState:
    """A GPU at one moment; None where the GPU or its driver does not report a value."""

    mhz: float | None = None
    min_mhz: float | None = None
    """The governor's lower limit, of an integrated GPU; the maximum if clocks are locked."""
    max_mhz: float | None = None
    """The upper limit, on a Jetson that of the power mode."""
    temperature_c: float | None = None
    watts: float | None = None
    performance_state: str | None = None
    """P0, the fastest, to P15."""
    throttling: tuple[str, ...] | None = None
    """Active reasons; None if it reports none."""


class NoDriver(Exception):
    """NVML is unavailable: the driver or the package nvidia-ml-py is not installed."""


class DriverError(Exception):
    """The driver answered with an error."""


def read_gpus() -> list[Gpu]:
    """Return every GPU of the driver. Errors: NoDriver, DriverError."""
    nvml = _opened()
    try:
        driver = str(nvml.nvmlSystemGetDriverVersion())
        return [_read(nvml, index, driver) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError as error:
        raise _failed(error) from error
    finally:
        nvml.nvmlShutdown()


class Monitor(Closing):
    """The first GPU, kept open for repeated reading; close it after use.

    Errors: NoDriver, and DriverError where there is no GPU or the driver fails.
    """

    def __init__(self) -> None:
        self._nvml = _opened()
        try:
            self._device = self._nvml.nvmlDeviceGetHandleByIndex(0)
        except self._nvml.NVMLError as error:
            self.close()
            raise _failed(error) from error

    def read(self) -> GpuState:
        """Read all values; one that the driver refuses is None."""
        nvml, ask = self._nvml, self._ask
        milliwatts = ask(nvml.nvmlDeviceGetPowerUsage)
        state = ask(nvml.nvmlDeviceGetPerformanceState)
        bits = ask(nvml.nvmlDeviceGetCurrentClocksEventReasons)
        if bits is None:  # the name of this function before driver 535
            bits = ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons)
        return GpuState(
            mhz=ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_GRAPHICS),
            max_mhz=ask(nvml.nvmlDeviceGetMaxClockInfo, nvml.NVML_CLOCK_GRAPHICS),
            temperature_c=ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
            watts=None if milliwatts is None else milliwatts / 1e3,
            performance_state=None if state is None or state > 15 else f"P{state}",
            throttling=None if bits is None else self._throttling(bits),
        )

    def close(self) -> None:
        self._nvml.nvmlShutdown()

    def _ask(self, function: Callable[..., int], *arguments: int) -> int | None:
        with suppress(self._nvml.NVMLError):  # also where the driver is older than the function
            return function(self._device, *arguments)
        return None

    def _throttling(self, bits: int) -> tuple[str, ...]:
        reasons = {name: getattr(self._nvml, f"nvmlClocksEventReason{name}") for name in THROTTLING}
        return tuple(f"GPU: {text}" for name, text in THROTTLING.items() if bits & reasons[name])


def _opened() -> Any:
    """Return the initialized module `pynvml`; each `nvmlInit` needs its own `nvmlShutdown`."""
    try:
        import pynvml
    except ImportError as error:
        raise NoDriver(f"the package nvidia-ml-py cannot be imported ({error})") from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            raise NoDriver(str(error)) from error
        raise _failed(error) from error
    return pynvml


def _read(nvml: Any, index: int, driver: str) -> Gpu:
    device = nvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(device)
    return Gpu(
        name=str(nvml.nvmlDeviceGetName(device)),
        compute_capability=f"{major}.{minor}",
        memory_gib=round(nvml.nvmlDeviceGetMemoryInfo(device).total / 2**30, 1),
        driver=driver,
    )


def _failed(error: Any) -> DriverError:
    return DriverError(f"{error} (NVML error {error.value})")
