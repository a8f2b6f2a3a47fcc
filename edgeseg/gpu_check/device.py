"""Checks of what the driver says about the GPU, against CUDA, NVML and nvidia-smi."""

import csv
import shutil
import subprocess

from edgeseg.cuda.driver import open_cuda
from edgeseg.gpu_check import kernels as gpu
from edgeseg.gpu_check.finding import GpuFinding, Skipped
from edgeseg.machine.cuda_library import read_gpus
from edgeseg.machine.nvml import Monitor, NoDriver

QUERY = "name,driver_version,compute_cap,memory.total,temperature.gpu,clocks.gr,power.draw"
NEAR_C, NEAR_GIB = 5.0, 0.2
NOT_REPORTED = "[N/A]"  # by nvidia-smi, of some integrated GPUs


def opens() -> GpuFinding:
    """Open the first GPU, and compile and load the kernels of the checks."""
    with open_cuda() as cuda:
        device, binding = cuda.device, cuda.driver.name
    kernels = gpu.Kernels()
    version = kernels.version()
    figures = {
        "name": device.name,
        "compute_capability": device.compute_capability,
        "integrated": device.integrated,
        "cuda": f"{version // 1000}.{version % 1000 // 10}",
        "free_gib": round(kernels.free_bytes() / 2**30, 1),
        "binding": binding,
    }
    found = f"{device.name}, compute capability {device.compute_capability}, CUDA "
    return GpuFinding(True, f"{found}{figures['cuda']}, {binding}", figures)


def nvml() -> GpuFinding:
    """Compare NVML through nvidia-ml-py with nvidia-smi, and with CUDA's name of the GPU.

    All are asked about CUDA's first GPU, by its place on the bus.
    """
    bus_id = read_gpus()[0].bus_id
    try:
        with Monitor(bus_id) as monitor:
            ours, state = monitor.facts(), monitor.read()
    except NoDriver as error:
        raise Skipped(str(error)) from error
    if shutil.which("nvidia-smi") is None:
        raise Skipped("nvidia-smi is not installed")
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    command.append(f"--id={bus_id or 0}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    names = QUERY.split(",")
    smi = dict(zip(names, map(str.strip, next(csv.reader([done.stdout]))), strict=True))
    with open_cuda() as cuda:
        device = cuda.device
    problems = [
        f"{what}: {mine} and {theirs}"
        for what, mine, theirs in (
            ("name", ours.name, smi["name"]),
            ("name in CUDA", device.name, smi["name"]),
            ("driver", ours.driver, smi["driver_version"]),
            ("compute capability", ours.compute_capability, smi["compute_cap"]),
            ("compute capability in CUDA", device.compute_capability, smi["compute_cap"]),
        )
        if mine != (None if theirs == NOT_REPORTED else theirs)
    ]
    for what, mine, query, scale, near in (
        ("memory in GiB", ours.memory_gib, "memory.total", 1 / 1024, NEAR_GIB),
        ("temperature in C", state.temperature_c, "temperature.gpu", 1.0, NEAR_C),
    ):
        told = _number(smi[query])
        if (mine is None) != (told is None) or abs((mine or 0.0) - (told or 0.0) * scale) > near:
            problems.append(f"{what}: {mine} and {smi[query]}")
    now = f"{state.mhz} MHz ({smi['clocks.gr']}), {state.watts} W ({smi['power.draw']}), "
    now += f"{state.temperature_c} C ({smi['temperature.gpu']})"
    found = "; ".join(problems) or f"the same; {now}"
    return GpuFinding(not problems, found, {"nvidia-smi": smi, "driver": ours.driver})


def _number(text: str) -> float | None:
    """Read a number; nvidia-smi writes [N/A] for what a GPU does not report."""
    try:
        return float(text)
    except ValueError:
        return None
