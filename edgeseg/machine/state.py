"""The state of the machine at one moment: clocks, temperatures, power mode, throttling.

Values that a machine does not report are None or absent; nothing raises.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from edgeseg.closing import Closing
from edgeseg.machine import nvml, sysfs

NO_GPU = nvml.GpuState()


@dataclass(frozen=True, kw_only=True)
class DeviceState:
    """The machine at one moment; None or empty where it reports nothing."""

    power_mode: str | None = None
    """On a Jetson: `15W (mode 0)`."""
    cpu_governor: str | None = None
    cpu_mhz: float | None = None
    """Of the fastest core."""
    cpu_max_mhz: float | None = None
    gpu: nvml.GpuState = NO_GPU
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    throttling: tuple[str, ...] | None = None
    """Active reasons for throttling; None if the machine reports none."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """Throttling events since the start of the machine or container."""


def read_state(root: Path = Path("/"), *, bus_id: str | None = None) -> DeviceState:
    """Read the state once, with that of the GPU at a place on the bus; tests pass another root."""
    with StateReader(root, bus_id) as reader:
        return reader.read()


class StateReader(Closing):
    """Reads the kernel's files, and NVML unless they list an integrated GPU."""

    def __init__(self, root: Path, bus_id: str | None = None) -> None:
        self._root = root
        self._monitor: nvml.Monitor | None = None
        if sysfs.board_gpu(root) is None:
            try:
                self._monitor = nvml.Monitor(bus_id)
            except (nvml.NoDriver, nvml.DriverError):
                return  # reported by the machine's facts and the doctor

    def read(self) -> DeviceState:
        root = self._root
        cpu_mhz, cpu_max_mhz = sysfs.cpu(root)
        gpu = self._monitor.read() if self._monitor else sysfs.board_gpu(root) or NO_GPU
        temperatures = sysfs.temperatures(root)
        if gpu.temperature_c is not None:
            temperatures["GPU"] = gpu.temperature_c
        reasons = [found for found in (gpu.throttling, sysfs.cooling(root)) if found is not None]
        return DeviceState(
            power_mode=sysfs.power_mode(root),
            cpu_governor=sysfs.governor(root),
            cpu_mhz=cpu_mhz,
            cpu_max_mhz=cpu_max_mhz,
            gpu=gpu,
            temperatures_c=temperatures,
            throttling=tuple(chain(*reasons)) if reasons else None,
            counters=sysfs.counters(root),
        )

    def close(self) -> None:
        if self._monitor:
            self._monitor.close()
