"""Machines whose NVML, device tree or order of GPUs misled: what CUDA, the facts and doctor say."""

import dataclasses

import pynvml
import pytest

from edgeseg import doctor
from edgeseg.cuda.driver import open_cuda
from edgeseg.errors import ConfigError
from edgeseg.machine import cuda_library, facts, nvml
from edgeseg.machine.facts import read_machine
from tests.kit.errors import fails
from tests.machine.conftest import PlantedGpu
from tests.machine.planted import plant
from tools.cudasim.skipping import run_or_skip

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED
GB10 = PlantedGpu("NVIDIA GB10", (12, 1), integrated=True, memory_gib=119.6, bus_id="000f:01:00.0")
THOR = PlantedGpu("NVIDIA Thor", (11, 0), integrated=True, memory_gib=122.8, bus_id="0000:01:00.0")
ORIN = PlantedGpu("Orin", (8, 7), integrated=True, memory_gib=None, bus_id=None)
MIG = PlantedGpu("NVIDIA A100-SXM4-40GB MIG 1g.5gb", (8, 0), memory_gib=4.8)
FAST = PlantedGpu("NVIDIA GeForce RTX 3090", (8, 6), bus_id="0000:02:00.0")
SLOW = PlantedGpu("NVIDIA T400", (7, 5), memory_gib=2.0, bus_id="0000:01:00.0")


@pytest.fixture
def root(tmp_path, no_driver, monkeypatch):
    """A container: no device tree; 16 GiB."""
    for name in (facts.VISIBLE, facts.JETSON_NAME):
        monkeypatch.delenv(name, raising=False)
    plant(tmp_path, "proc/meminfo", "MemTotal:       16777216 kB")
    return tmp_path


def told(here):
    """Return what doctor says about the GPU."""
    (finding,) = (each for each in doctor._machine(here) if each.area == "GPU")
    assert finding.state == "ok", finding
    return finding.found


def test_a_gb10_whose_nvml_refuses_its_memory(root, install_cuda, install_nvml):
    install_cuda(GB10)
    install_nvml(fails={"nvmlDeviceGetMemoryInfo": NOT_SUPPORTED})
    here = read_machine(root)
    assert (here.gpu, here.compute_capability, here.gpu_memory_gib) == (
        "NVIDIA GB10",
        "12.1",
        119.6,
    )
    assert here.gpu_integrated and here.jetson is None
    assert told(here).startswith(
        "NVIDIA GB10, compute capability 12.1, 119.6 GiB; found by CUDA 13.0, driver 580.65.06"
    )


def test_a_thor_in_a_container_with_the_release_of_jetson_linux(root, install_cuda):
    install_cuda(THOR)
    plant(root, "etc/nv_tegra_release", "# R38 (release), REVISION: 2.0, GCID: 41844464")
    here = read_machine(root)
    assert (here.jetson, here.l4t, here.driver) == ("Jetson Thor", "38.2.0", "L4T 38.2.0")
    assert told(here).startswith("Jetson Thor, L4T 38.2.0: NVIDIA Thor, compute capability 11.0")


def test_an_orin_in_a_container_without_anything(root, install_cuda, monkeypatch):
    install_cuda(ORIN, version=12060)
    here = read_machine(root)
    assert (here.jetson, here.l4t, here.gpu_bus_id) == ("Jetson Orin", None, None)
    assert here.gpu_memory_gib == 16.0  # the machine's: CUDA does not tell
    assert "Orin, compute capability 8.7, 16 GiB; found by CUDA 12.6" in told(here)
    plant(root, facts.JETSON_FILE, "NVIDIA Jetson AGX Orin Developer Kit\0")
    assert read_machine(root).jetson == "NVIDIA Jetson AGX Orin Developer Kit"
    monkeypatch.setenv(facts.JETSON_NAME, "JETSON_ORIN_NANO")
    assert read_machine(root).jetson == "JETSON_ORIN_NANO"


def test_a_part_of_a_gpu(root, install_cuda, install_nvml):
    install_cuda(MIG)
    refused = ("MemoryInfo", "ClockInfo", "Temperature", "PowerUsage", "Name")
    install_nvml(fails={f"nvmlDeviceGet{name}": NOT_SUPPORTED for name in refused})
    here = read_machine(root)
    assert (here.gpu, here.gpu_memory_gib, here.jetson) == (MIG.name, 4.8, None)
    assert nvml.Monitor(here.gpu_bus_id).read().mhz is None


def test_the_first_of_two_gpus_is_cuda_s(root, install_cuda, install_nvml):
    install_cuda(FAST, SLOW)
    install_nvml(count=2)  # in the order of the bus: the T400 first
    here, other = read_machine(root), read_machine(root, 1)
    assert (here.gpu, here.compute_capability, here.device) == (FAST.name, "8.6", 0)
    assert (other.gpu, other.compute_capability, other.device) == (SLOW.name, "7.5", 1)
    numbered = "of 0: NVIDIA GeForce RTX 3090, 1: NVIDIA T400"
    assert told(here).split("; ")[2].startswith(f"device 0 {numbered}")
    assert f"device 1 {numbered}" in other.gpu_note
    for machine, number in ((here, 2), (other, 1)):
        with nvml.Monitor(machine.gpu_bus_id) as monitor:
            assert monitor.facts().name == f"NVIDIA RTX A2000 no. {number}"


def test_a_gpu_beyond_the_last_one(root, install_cuda):
    install_cuda(FAST, SLOW)
    with fails(ConfigError, "config/device") as error:
        read_machine(root, 2)
    assert "device 2 (expected 0 to 1)" in error.value.problem


def test_another_gpu_where_there_is_none(root):
    with fails(ConfigError, "config/device") as error:
        read_machine(root, 1)
    assert "none: no NVIDIA GPU" in error.value.problem


def as_simulated():
    """Read a real library of the driver, the simulated one, and ask a binding for the same."""
    (gpu,) = cuda_library.read_gpus()
    with open_cuda("cuda-python") as cuda:
        device = cuda.device
    same = (device.name, device.compute_capability, device.integrated)
    assert same == (gpu.name, gpu.compute_capability, gpu.integrated)
    here = facts.this_machine()
    assert (here.gpu, here.gpu_bus_id) == (gpu.name, gpu.bus_id)
    return [cuda_library.driver_cuda(), dataclasses.asdict(gpu)]


def test_a_library_is_called_as_the_driver_declares_it():
    report = run_or_skip(f"{__name__}:as_simulated")
    assert report.error is None, report.error
    version, gpu = report.result
    assert version == "13.0" and gpu["bus_id"] == "0000:01:00.0" and gpu["memory_gib"] > 0
