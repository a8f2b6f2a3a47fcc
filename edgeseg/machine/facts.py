"""Facts about this machine on which measurements, engines and the choice of a runtime depend.

Read once per process from the kernel's files and NVML in a few milliseconds, without a runtime or a
subprocess.
"""

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from edgeseg.machine import nvml
from edgeseg.machine.sysfs import text
from edgeseg.text import counted

# The instruction sets that affect the speed on a CPU, as /proc/cpuinfo names them.
INSTRUCTIONS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),  # Arm: asimd is NEON
)
# Chips of the device tree with their GPU and its compute capability, which NVML does not report on
# every JetPack. The JetPacks of older chips end at Python 3.8.
JETSON_CHIPS = {
    "nvidia,tegra194": ("Xavier", "7.2"),
    "nvidia,tegra234": ("Orin", "8.7"),
    "nvidia,tegra264": ("Thor", "11.0"),
}
_NO_LIMIT = "max"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Facts that can be written as JSON; None if unavailable."""

    cpu: str
    cores: int
    """Physical cores that this process may use."""
    threads: int
    """Logical CPUs that this process may use, by its affinity and its container's limit."""
    memory_gib: float | None
    architecture: str
    os: str
    python: str
    instructions: tuple[str, ...]
    gpu: str | None
    compute_capability: str | None
    """`8.6`."""
    gpu_memory_gib: float | None
    driver: str | None
    gpu_note: str
    """How the GPU was found, or why none was, with the driver's error message."""
    gpu_broken: bool
    """Whether a GPU or its driver is present but fails."""
    jetson: str | None
    """The board's name, from the device tree."""
    l4t: str | None
    """The release of Jetson Linux, `36.4.3`."""

    def line(self) -> str:
        """Describe the machine in one line, for reports and cards."""
        memory = "" if self.memory_gib is None else f", {self.memory_gib:g} GiB"
        gpu = "no GPU"
        if self.gpu is not None:
            gpu = f"{self.gpu} (compute capability {self.compute_capability})"
        board = f"{self.jetson}, " if self.jetson else ""
        release = f", L4T {self.l4t}" if self.l4t else ""
        cores = counted(self.cores, "core")
        if self.threads != self.cores:
            cores += f" ({counted(self.threads, 'thread')})"
        return f"{board}{self.cpu}, {cores}{memory}, {gpu}, {self.os}{release}"


@lru_cache(maxsize=1)
def this_machine() -> Machine:
    """Return the facts of this machine, cached."""
    return read_machine(Path("/"))


def read_machine(root: Path) -> Machine:
    """Read the facts below a root folder; tests pass another than `/`."""
    jetson, chip = _device_tree(root)
    gpu, note, broken = _gpu(root, chip)
    processors = _allowed()
    cpu, instructions = _cpu(root)
    return Machine(
        cpu=cpu,
        cores=_cores(root, processors),
        threads=min(len(processors), _container_limit(root)),
        memory_gib=_memory_gib(root),
        architecture=platform.machine(),
        os=_system(),
        python=platform.python_version(),
        instructions=instructions,
        gpu=gpu.name if gpu else None,
        compute_capability=gpu.compute_capability if gpu else None,
        gpu_memory_gib=gpu.memory_gib if gpu else None,
        driver=gpu.driver if gpu else None,
        gpu_note=note,
        gpu_broken=broken,
        jetson=jetson,
        l4t=_l4t(root),
    )


def _gpu(root: Path, chip: str | None) -> tuple[nvml.Gpu | None, str, bool]:
    """Return the first GPU or None, a note, and whether a GPU or driver is broken."""
    if chip is not None:
        name, capability = JETSON_CHIPS[chip]
        memory = _memory_gib(root) or 0.0  # shared with the CPU
        gpu = nvml.Gpu(f"{name} (integrated)", capability, memory, f"L4T {_l4t(root) or '?'}")
        return gpu, f"found in the device tree: {chip}", False
    try:
        gpus = nvml.read_gpus()
    except nvml.NoDriver as error:
        if _nvidia_on_the_bus(root):
            note = f"an NVIDIA GPU is on the PCI bus, but its driver is unavailable: {error}"
            return None, note, True
        return None, "no NVIDIA GPU on the PCI bus and no driver", False
    except nvml.DriverError as error:
        return None, f"the NVIDIA driver fails: {error}", True
    if not gpus:
        return None, "the NVIDIA driver reports no GPU", True
    others = f"; the first of {len(gpus)}" if len(gpus) > 1 else ""
    return gpus[0], f"found by the NVIDIA driver {gpus[0].driver}{others}", False


def _nvidia_on_the_bus(root: Path) -> bool:
    """Whether the PCI bus has a display controller (class 03) of NVIDIA (vendor 10de)."""
    for device in (root / "sys/bus/pci/devices").glob("*"):
        vendor, kind = text(device / "vendor"), text(device / "class")
        if vendor == "0x10de" and kind.startswith("0x03"):
            return True
    return False


def _device_tree(root: Path) -> tuple[str | None, str | None]:
    """Return a Jetson's board and chip, or (None, None)."""
    tree = root / "proc/device-tree"
    chips = text(tree / "compatible").split("\0")
    chip = next((chip for chip in chips if chip in JETSON_CHIPS), None)
    return (text(tree / "model").strip("\0") or chip, chip) if chip else (None, None)


def _l4t(root: Path) -> str | None:
    """Turn `# R36 (release), REVISION: 4.3, GCID: ...` into `36.4.3`."""
    words = text(root / "etc/nv_tegra_release").replace(",", " ").split()
    if "REVISION:" not in words:
        return None
    release = next((word[1:] for word in words if word[0] == "R" and word[1:].isdecimal()), "?")
    return f"{release}.{words[words.index('REVISION:') + 1]}"


def _cpu(root: Path) -> tuple[str, tuple[str, ...]]:
    """Return the CPU's name and the INSTRUCTIONS that it supports."""
    facts = dict(_fields(text(root / "proc/cpuinfo")))
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    part = f"Arm core, part {facts['CPU part']}" if "CPU part" in facts else ""
    name = facts.get("model name") or part or platform.processor() or platform.machine()
    return " ".join(name.split()), tuple(word for word in INSTRUCTIONS if word in flags)


def _memory_gib(root: Path) -> float | None:
    total = dict(_fields(text(root / "proc/meminfo"))).get("MemTotal")  # `24689456 kB`
    return round(int(total.split()[0]) / 2**20, 1) if total else None


def _allowed() -> set[int]:
    """Return the logical CPUs that this process may run on."""
    if sys.platform == "linux":
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _cores(root: Path, processors: set[int]) -> int:
    """Count physical cores; logical CPUs with the same list of siblings share one."""
    topology = "topology/thread_siblings_list"
    cpus = root / "sys/devices/system/cpu"
    return len({text(cpus / f"cpu{number}" / topology) or str(number) for number in processors})


def _container_limit(root: Path) -> int:
    """Return the control group's CPU limit, rounded up; maxsize without a limit."""
    quota, _, period = text(root / "sys/fs/cgroup/cpu.max").partition(" ")  # `200000 100000`
    if not period or quota == _NO_LIMIT:
        return sys.maxsize
    return max(-(-int(quota) // int(period)), 1)


def _system() -> str:
    kernel = f"{platform.system()} {platform.release()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Yield the `name : value` lines of a kernel file."""
    for line in text.splitlines():
        name, separator, value = line.partition(":")
        if separator:
            yield name.strip(), value.strip()
