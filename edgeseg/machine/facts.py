"""Facts about this machine on which measurements, engines and the choice of a runtime depend.

Read once per process from the kernel's files, the CUDA driver and NVML, without a runtime, a
binding or a subprocess: in a few milliseconds, and the time of `cuInit` where there is a GPU. The
GPU is the one that CUDA would use; NVML and the device tree explain why there is none.
"""

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from edgeseg.errors import ConfigError
from edgeseg.machine import cuda_library, nvml
from edgeseg.machine.cuda_library import CudaGpu
from edgeseg.machine.sysfs import text
from edgeseg.text import counted

# The instruction sets that affect the speed on a CPU, as /proc/cpuinfo names them.
INSTRUCTIONS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),  # Arm: asimd is NEON
)
# Chips of the device tree, with their name and the compute capability of their GPU. The JetPacks of
# older chips end at Python 3.8.
JETSON_CHIPS = {
    "nvidia,tegra194": ("Xavier", "7.2"),
    "nvidia,tegra234": ("Orin", "8.7"),
    "nvidia,tegra264": ("Thor", "11.0"),
}
# Where containers find a board's name: /proc/device-tree is masked in Docker's. Both are NVIDIA's
# habits (Jetson.GPIO, jetson-containers).
JETSON_NAME, JETSON_FILE = "JETSON_MODEL_NAME", "tmp/nv_jetson_model"
VISIBLE = "CUDA_VISIBLE_DEVICES"
CONTAINER = "in a container: "  # the option that it needs
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
    device: int
    """CUDA's number of the GPU."""
    gpu: str | None
    """CUDA's name of it."""
    compute_capability: str | None
    """`8.6`."""
    gpu_integrated: bool | None
    """Whether it shares the CPU's memory."""
    gpu_memory_gib: float | None
    gpu_bus_id: str | None
    """`0000:01:00.0`, by which NVML finds it."""
    cuda: str | None
    """The CUDA that the driver supports, `12.4`."""
    driver: str | None
    """Its release, or that of Jetson Linux."""
    gpu_note: str
    """How the GPU was found, or why none was, with the driver's error message."""
    gpu_broken: bool
    """Whether a GPU or its driver is present but fails."""
    jetson: str | None
    """The board's name."""
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


@lru_cache(maxsize=8)
def this_machine(device: int = 0) -> Machine:
    """Return the facts of this machine with a GPU by CUDA's number, cached.

    ConfigError for a number beyond the last GPU.
    """
    return read_machine(Path("/"), device)


def read_machine(root: Path, device: int = 0) -> Machine:
    """Read the facts below a root folder; tests pass another than `/`."""
    gpus, note, broken = _gpus(root)
    if device and device >= len(gpus):
        found = f"0 to {len(gpus) - 1}" if gpus else f"none: {note}"
        raise ConfigError(
            f"GPU not found: device {device} (expected {found})",
            remedy="edgeseg doctor lists the GPUs; the first one is --device 0",
            code="config/device",
        )
    gpu = gpus[device] if gpus else None
    if len(gpus) > 1:
        numbered = enumerate(gpus)
        note += f"; device {device} of " + ", ".join(f"{i}: {each.name}" for i, each in numbered)
    jetson, l4t = _jetson(root, gpu), _l4t(root)
    memory = _memory_gib(root)
    processors = _allowed()
    cpu, instructions = _cpu(root)
    return Machine(
        cpu=cpu,
        cores=_cores(root, processors),
        threads=min(len(processors), _container_limit(root)),
        memory_gib=memory,
        architecture=platform.machine(),
        os=_system(),
        python=platform.python_version(),
        instructions=instructions,
        device=device,
        gpu=gpu.name if gpu else None,
        compute_capability=gpu.compute_capability if gpu else None,
        gpu_integrated=gpu.integrated if gpu else None,
        gpu_memory_gib=(gpu.memory_gib or (memory if gpu.integrated else None)) if gpu else None,
        gpu_bus_id=gpu.bus_id if gpu else None,
        cuda=cuda_library.driver_cuda() if gpu else None,
        driver=_driver(jetson, l4t) if gpu else None,
        gpu_note=note,
        gpu_broken=broken,
        jetson=jetson,
        l4t=l4t,
    )


def _gpus(root: Path) -> tuple[tuple[CudaGpu, ...], str, bool]:
    """Return the GPUs of CUDA, a note, and whether a GPU or its driver is broken."""
    try:
        gpus = cuda_library.read_gpus()
    except nvml.NoDriver as error:
        return (), *_without_cuda(root, str(error))
    except nvml.DriverError as error:
        if VISIBLE in os.environ and cuda_library.NO_DEVICE in str(error):
            return (), f"{VISIBLE}={os.environ[VISIBLE]} hides every GPU", False
        return (), f"the NVIDIA driver fails: {error}", True
    return gpus, f"found by CUDA {cuda_library.driver_cuda()}", False


def _without_cuda(root: Path, why: str) -> tuple[str, bool]:
    """Return why there is no CUDA library, and whether there should be one."""
    _, chip = _device_tree(root)
    if chip is not None or _l4t(root):
        return f"a Jetson without CUDA: {why}; {CONTAINER}--runtime nvidia", True
    if release := nvml.driver_release():
        note = f"the NVIDIA driver {release} without CUDA: {why}; {CONTAINER}"
        return f"{note}-e NVIDIA_DRIVER_CAPABILITIES=compute,utility", True
    if _nvidia_on_the_bus(root):
        return f"an NVIDIA GPU is on the PCI bus, but its driver is unavailable: {why}", True
    return "no NVIDIA GPU on the PCI bus and no driver", False


def _jetson(root: Path, gpu: CudaGpu | None) -> str | None:
    """Return a Jetson's board, or what is known of it in a container; None elsewhere."""
    board, _ = _device_tree(root)
    if board is not None:
        return board
    chips = {capability: name for name, capability in JETSON_CHIPS.values()}
    chip = chips.get(gpu.compute_capability) if gpu is not None and gpu.integrated else None
    named = os.environ.get(JETSON_NAME) or text(root / JETSON_FILE).strip("\0")
    if chip is None and not _l4t(root):
        return None
    return named or f"Jetson {chip or '(unknown board)'}"


def _driver(jetson: str | None, l4t: str | None) -> str | None:
    return f"L4T {l4t}" if jetson and l4t else nvml.driver_release()


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
