"""Clocks, temperature and driver of an NVIDIA GPU (NVML), without a CUDA context or a subprocess.

Uses `pynvml` of the package nvidia-ml-py, which loads the driver's own library. Each value is
optional: integrated GPUs and MIG refuse some. A missing library or package is told apart from a
driver that fails: a broken driver must not look like no GPU. Which GPU computes, and its name and
compute capability, are CUDA's (cuda_library.py); NVML numbers them in another order.
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


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU and its driver; None where the driver does not report a value."""

    name: str | None = None
    compute_capability: str | None = None
    """`8.6`."""
    memory_gib: float | None = None
    driver: str | None = None


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


class Monitor(Closing):
    """A GPU, kept open for repeated reading; close it after use.

    bus_id: `0000:01:00.0`; None: the only GPU, or NVML's first one.
    Errors: NoDriver, and DriverError where there is no such GPU or the driver fails.
    """

    def __init__(self, bus_id: str | None = None) -> None:
        self._nvml = nvml = _opened()
        try:
            if bus_id is None or nvml.nvmlDeviceGetCount() == 1:  # as on a bus of another machine
                self._device = nvml.nvmlDeviceGetHandleByIndex(0)
            else:
                self._device = nvml.nvmlDeviceGetHandleByPciBusId(bus_id)
        except nvml.NVMLError as error:
            self.close()
            raise _failed(error) from error

    def facts(self) -> Gpu:
        """Read what does not change; a value that the driver refuses is None."""
        nvml, ask = self._nvml, self._ask
        name, memory = ask(nvml.nvmlDeviceGetName), ask(nvml.nvmlDeviceGetMemoryInfo)
        capability = ask(nvml.nvmlDeviceGetCudaComputeCapability)
        return Gpu(
            name=None if name is None else str(name),
            compute_capability=None if capability is None else "{}.{}".format(*capability),
            memory_gib=None if memory is None else round(memory.total / 2**30, 1),
            driver=_driver(nvml),
        )

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

    def _ask(self, function: Callable[..., Any], *arguments: int) -> Any:
        with suppress(self._nvml.NVMLError):  # also where the driver is older than the function
            return function(self._device, *arguments)
        return None

    def _throttling(self, bits: int) -> tuple[str, ...]:
        reasons = {name: getattr(self._nvml, f"nvmlClocksEventReason{name}") for name in THROTTLING}
        return tuple(f"GPU: {text}" for name, text in THROTTLING.items() if bits & reasons[name])


def driver_release() -> str | None:
    """Return the release of the driver, `580.65.06`; None where NVML is unavailable or refuses."""
    try:
        nvml = _opened()
    except (NoDriver, DriverError):
        return None
    try:
        return _driver(nvml)
    finally:
        nvml.nvmlShutdown()


def _driver(nvml: Any) -> str | None:
    with suppress(nvml.NVMLError):
        return str(nvml.nvmlSystemGetDriverVersion())
    return None


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


def _failed(error: Any) -> DriverError:
    return DriverError(f"{error} (NVML error {error.value})")
