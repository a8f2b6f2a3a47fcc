"""Clocks, temperatures and throttling from files of the Linux kernel and of Jetson's BSP.

Every function takes the root folder (`/`, except in tests) and returns None or an empty result if
the machine has no such file. No function raises or starts a process.

Sources: the kernel's documentation of cpufreq, devfreq, thermal zones and control groups; NVIDIA,
Jetson Linux Developer Guide, "Platform Power and Performance" (nvpmodel, soctherm's counters).
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from edgeseg.machine.nvml import GpuState

# The kernel's names for the GPU of a board: Orin and Thor (*gpu*), Orin on JetPack 5, Xavier.
BOARD_GPUS = ("*gpu*", "*.ga10b", "*.gv11b")
# Cooling devices that throttle a processor; fans do not.
SLOWING = re.compile(r"cpufreq|devfreq|throttle|^Processor")
NO_SENSORS = ("PMIC-Die",)  # of older Jetsons: a constant 100 degrees
PLAUSIBLE_C = (-55.0, 200.0)  # a disabled sensor reports -256
_MODE = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>")


def text(path: Path) -> str:
    """Return a file's text; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def board_gpu(root: Path) -> GpuState | None:
    """Return the clocks of an integrated GPU; 0 MHz while it is powered down."""
    for pattern in BOARD_GPUS:
        for device in sorted((root / "sys/class/devfreq").glob(pattern)):
            now, low, high = (
                _number(device / f"{name}_freq", 1e6) for name in ("cur", "min", "max")
            )
            if now is not None:
                return GpuState(mhz=now, min_mhz=low, max_mhz=high)
    return None


def cpu(root: Path) -> tuple[float | None, float | None]:
    """Return the clock of the fastest core, and the highest limit of all cores, in MHz."""
    policies = list((root / "sys/devices/system/cpu/cpufreq").glob("policy*"))
    now, high = (
        [n for policy in policies if (n := _number(policy / f"scaling_{name}", 1e3)) is not None]
        for name in ("cur_freq", "max_freq")
    )
    return max(now, default=None), max(high, default=None)


def governor(root: Path) -> str | None:
    """Return the CPU's frequency governor (`schedutil`); several if cores differ."""
    policies = (root / "sys/devices/system/cpu/cpufreq").glob("policy*")
    names = {text(policy / "scaling_governor") for policy in policies} - {""}
    return ", ".join(sorted(names)) or None


def power_mode(root: Path) -> str | None:
    """Return a Jetson's power mode, `15W (mode 0)`, from nvpmodel's files."""
    found = re.search(r"pmode:(\d+)", text(root / "var/lib/nvpmodel/status"))
    if found is None:
        return None
    mode = int(found[1])
    name = _power_modes(root).get(mode)
    return f"{name} (mode {mode})" if name else f"mode {mode}"


def fastest_mode(root: Path) -> int | None:
    """Return the number of the mode without a power limit, MAXN; None if there is none."""
    unlimited = {name: mode for mode, name in _power_modes(root).items() if name.startswith("MAXN")}
    return unlimited[max(unlimited)] if unlimited else None  # MAXN_SUPER before MAXN


def _power_modes(root: Path) -> dict[int, str]:
    return {int(number): name for number, name in _MODE.findall(text(root / "etc/nvpmodel.conf"))}


def temperatures(root: Path) -> dict[str, float]:
    """Return degrees Celsius by sensor name; the highest of sensors with the same name."""
    found: dict[str, float] = {}
    for name, path in _sensors(root):
        celsius = _number(path, 1e3)
        if celsius is not None and PLAUSIBLE_C[0] <= celsius <= PLAUSIBLE_C[1]:
            found[name] = max(celsius, found.get(name, celsius))
    return found


def _sensors(root: Path) -> Iterator[tuple[str, Path]]:
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        name = text(zone / "type")
        if name and name not in NO_SENSORS:
            yield name, zone / "temp"
    for monitor in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if text(monitor / "name") == "k10temp":  # AMD processors have no thermal zone
            yield "k10temp", monitor / "temp1_input"


def cooling(root: Path) -> tuple[str, ...] | None:
    """Return the active cooling devices that throttle a processor; None if there are none."""
    states = {
        name: state
        for device in sorted((root / "sys/class/thermal").glob("cooling_device*"))
        if SLOWING.search(name := text(device / "type"))
        and (state := _number(device / "cur_state", 1)) is not None
    }
    return tuple(f"cooling by {name}" for name, state in states.items() if state > 0) or (
        () if states else None
    )


def counters(root: Path) -> dict[str, int]:
    """Return counts of throttling events since the start of the machine or container."""
    found: dict[str, int] = {}
    for path in sorted((root / "sys/class/hwmon").glob("*/oc*_event_cnt")):
        _add(found, f"over-current or under-voltage ({path.name.partition('_')[0]})", path)
    for path in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/*_count"):
        if path.name == "core_throttle_count":  # the package counter repeats it
            _add(found, "heat of the CPU", path)
    for group in filter(_has_quota, _control_groups(root)):
        if stat := re.search(r"^nr_throttled (\d+)$", text(group / "cpu.stat"), re.MULTILINE):
            word = "CPU quota of the container"
            found[word] = found.get(word, 0) + int(stat[1])
    return found


def _add(found: dict[str, int], name: str, path: Path) -> None:
    value = _number(path, 1)
    if value is not None:
        found[name] = found.get(name, 0) + int(value)


def _has_quota(group: Path) -> bool:
    """Whether the group has a CPU limit; without one its counter is meaningless."""
    quota = _number(group / "cpu.cfs_quota_us", 1)  # version 1; -1: none
    return text(group / "cpu.max")[:1].isdecimal() or (quota is not None and quota > 0)


def _control_groups(root: Path) -> Iterator[Path]:
    """Yield this process's control group and its parents; each may have a quota."""
    for line in text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mount = root / "sys/fs/cgroup"
        elif "cpu" in controllers.split(","):
            mount = root / "sys/fs/cgroup" / controllers
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        yield from (mount.joinpath(*parts[:n]) for n in range(len(parts), -1, -1))


def _number(path: Path, unit: float) -> float | None:
    """Read a number and divide it by its unit; None for a missing or invalid file."""
    try:
        number = float(text(path)) / unit
    except ValueError:
        return None
    return number if math.isfinite(number) else None
