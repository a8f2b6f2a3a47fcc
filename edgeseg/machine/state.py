"""The state of the machine at one moment: clocks, temperatures, power mode, throttling.

Values that a machine does not report are None or absent; nothing raises.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from edgeseg.machine import nvml, sysfs


@dataclass(frozen=True, kw_only=True)
class DeviceState:
    """The machine at one moment; None or empty where it reports nothing."""

    power_mode: str | None = None
    """On a Jetson: `15W (mode 0)`."""
    cpu_governor: str | None = None
    cpu_mhz: float | None = None
    """Of the fastest core."""
    cpu_max_mhz: float | None = None
    gpu_mhz: float | None = None
    gpu_min_mhz: float | None = None
    """The governor's lower limit; equal to the maximum if clocks are locked."""
    gpu_max_mhz: float | None = None
    """The upper limit of the power mode."""
    gpu_watts: float | None = None
    gpu_performance_state: str | None = None
    """P0, the fastest, to P15."""
    temperatures_c: Mapping[str, float]
    throttling: tuple[str, ...] | None = None
    """Active reasons for throttling; None if the machine reports none."""
    counters: Mapping[str, int]
    """Throttling events since the start of the machine or container."""


def read_state(root: Path = Path("/")) -> DeviceState:
    """Read the state once; tests pass another root."""
    reader = StateReader(root)
    try:
        return reader.read()
    finally:
        reader.close()


class StateReader:
    """Reads the kernel's files, and NVML unless they list an integrated GPU."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._monitor: nvml.Monitor | None = None
        if sysfs.board_gpu(root) is None:
            try:
                self._monitor = nvml.Monitor()
            except (nvml.NoDriver, nvml.DriverError):
                return  # reported by the machine's facts and the doctor

    def read(self) -> DeviceState:
        root = self._root
        cpu, board = sysfs.cpu(root), sysfs.board_gpu(root)
        gpu = self._monitor.read() if self._monitor else None
        temperatures = sysfs.temperatures(root)
        if gpu and gpu.temperature_c is not None:
            temperatures["GPU"] = gpu.temperature_c
        sources = (gpu.throttling if gpu else None, sysfs.cooling(root))
        reasons = [found for found in sources if found is not None]
        return DeviceState(
            power_mode=sysfs.power_mode(root),
            cpu_governor=sysfs.governor(root),
            cpu_mhz=cpu.now if cpu else None,
            cpu_max_mhz=cpu.high if cpu else None,
            gpu_mhz=board.now if board else gpu.mhz if gpu else None,
            gpu_min_mhz=board.low if board else None,
            gpu_max_mhz=board.high if board else gpu.max_mhz if gpu else None,
            gpu_watts=gpu.watts if gpu else None,
            gpu_performance_state=gpu.performance_state if gpu else None,
            temperatures_c=temperatures,
            throttling=tuple(chain(*reasons)) if reasons else None,
            counters=sysfs.counters(root),
        )

    def close(self) -> None:
        if self._monitor:
            self._monitor.close()
