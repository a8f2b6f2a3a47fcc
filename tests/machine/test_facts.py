"""The facts of a machine, read from planted kernel files."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeseg.machine import facts as machine
from edgeseg.machine.facts import Machine, read_machine, this_machine
from tests.machine.conftest import PlantedGpu
from tests.machine.planted import plant

XEON = """\
processor\t: 0
model name\t: Intel(R)  Xeon(R) Gold 6430
flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 amx_bf16 unheard_of
processor\t: 1
model name\t: Intel(R)  Xeon(R) Gold 6430
flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 amx_bf16 unheard_of
"""
ORIN = """\
processor\t: 0
Features\t: fp asimd asimddp aes
CPU implementer\t: 0x41
CPU part\t: 0xd42
"""


@pytest.fixture
def root(tmp_path, monkeypatch, no_driver):
    """A machine with two threads on one core, 16 GiB, and no driver."""
    for name in (machine.VISIBLE, machine.JETSON_NAME):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine, "_allowed", lambda: {0, 1})
    plant(tmp_path, "proc/cpuinfo", XEON)
    plant(tmp_path, "proc/meminfo", "MemTotal:       16777216 kB\nMemFree:  1 kB")
    for number in (0, 1):
        topology = f"sys/devices/system/cpu/cpu{number}/topology"
        plant(tmp_path, f"{topology}/thread_siblings_list", "0-1")
    return tmp_path


def plant_jetson(root):
    plant(root, "proc/cpuinfo", ORIN)
    plant(root, "proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0")
    chips = "nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0"
    plant(root, "proc/device-tree/compatible", chips)
    release = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64"
    plant(root, "etc/nv_tegra_release", release)


def test_cpu_memory_and_instructions(root):
    here = read_machine(root)
    assert (here.cpu, here.cores, here.threads) == ("Intel(R) Xeon(R) Gold 6430", 1, 2)
    assert here.memory_gib == 16.0
    assert here.instructions == ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@pytest.mark.parametrize(
    ("limit", "threads"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 2)]
)
def test_a_container_may_grant_fewer_threads(root, limit, threads):
    plant(root, "sys/fs/cgroup/cpu.max", limit)
    assert read_machine(root).threads == threads


def test_no_driver_and_no_card_is_no_gpu(root):
    here = read_machine(root)
    assert (here.gpu, here.gpu_broken) == (None, False)
    assert here.gpu_note == "no NVIDIA GPU on the PCI bus and no driver"


def test_a_card_without_a_driver_is_no_silent_no_gpu(root):
    plant(root, "sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de")
    plant(root, "sys/bus/pci/devices/0000:01:00.0/class", "0x030000")
    here = read_machine(root)
    assert (here.gpu, here.gpu_broken) == (None, True)
    assert here.gpu_note == (
        "an NVIDIA GPU is on the PCI bus, but its driver is unavailable: "
        "libcuda.so.1 cannot be loaded (no such file)"
    )


def test_nvidias_sound_chip_is_no_gpu(root):
    plant(root, "sys/bus/pci/devices/0000:01:00.1/vendor", "0x10de")
    plant(root, "sys/bus/pci/devices/0000:01:00.1/class", "0x040300")
    assert read_machine(root).gpu_note.startswith("no NVIDIA GPU")


@pytest.mark.parametrize(
    ("code", "name"),
    [(803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"), (34, "CUDA_ERROR_STUB_LIBRARY"), (9, "unknown")],
)
def test_a_broken_driver_is_reported_in_its_words(root, install_cuda, code, name):
    install_cuda(fails={"cuInit": code})
    here = read_machine(root)
    assert (here.gpu, here.gpu_broken) == (None, True)
    assert here.gpu_note.startswith("the NVIDIA driver fails: cuInit: ") and name in here.gpu_note


def test_a_hidden_gpu_is_not_broken(root, install_cuda, monkeypatch):
    install_cuda()
    assert read_machine(root).gpu_broken
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    here = read_machine(root)
    assert here.gpu_note == "CUDA_VISIBLE_DEVICES=-1 hides every GPU" and not here.gpu_broken


def test_a_driver_without_cuda_is_a_container_s_fault(root, install_nvml):
    install_nvml()
    here = read_machine(root)
    assert (here.gpu, here.gpu_broken) == (None, True)
    assert "the NVIDIA driver 580.65.06 without CUDA" in here.gpu_note
    assert here.gpu_note.endswith("-e NVIDIA_DRIVER_CAPABILITIES=compute,utility")


def test_a_jetson_without_cuda_is_a_container_s_fault(root):
    plant_jetson(root)
    here = read_machine(root)
    assert here.jetson == "NVIDIA Jetson Orin Nano Developer Kit"
    assert (here.gpu, here.gpu_broken) == (None, True)
    assert here.gpu_note.endswith("in a container: --runtime nvidia")


def test_a_jetson(root, install_cuda):
    plant_jetson(root)
    install_cuda(PlantedGpu("Orin", (8, 7), integrated=True, memory_gib=7.4), version=12060)
    here = read_machine(root)
    assert here.jetson == "NVIDIA Jetson Orin Nano Developer Kit"
    assert (here.l4t, here.driver, here.cuda) == ("36.4.3", "L4T 36.4.3", "12.6")
    assert (here.gpu, here.compute_capability, here.gpu_integrated) == ("Orin", "8.7", True)
    assert (here.gpu_memory_gib, here.memory_gib) == (7.4, 16.0)
    assert here.cpu == "Arm core, part 0xd42"
    assert here.instructions == ("asimd", "asimddp")


def test_another_board_with_a_device_tree_is_no_jetson(root):
    plant(root, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    plant(root, "proc/device-tree/compatible", "raspberrypi,5-model-b\0brcm,bcm2712\0")
    here = read_machine(root)
    assert (here.jetson, here.gpu) == (None, None)


def test_a_bare_root_gives_none_and_not_an_error(tmp_path, no_driver):
    here = read_machine(tmp_path)
    assert (here.memory_gib, here.l4t, here.instructions) == (None, None, ())
    assert here.cpu
    assert 1 <= here.threads == here.cores


def test_one_line(root, monkeypatch, install_cuda):
    monkeypatch.setattr(machine, "_system", lambda: "Debian 12, Linux 6.1")
    line = "Intel(R) Xeon(R) Gold 6430, 1 core (2 threads), 16 GiB, no GPU, Debian 12, Linux 6.1"
    assert read_machine(root).line() == line
    plant_jetson(root)
    install_cuda(PlantedGpu("Orin", (8, 7), integrated=True))
    assert read_machine(root).line() == (
        "NVIDIA Jetson Orin Nano Developer Kit, Arm core, part 0xd42, 1 core (2 threads), 16 GiB, "
        "Orin (compute capability 8.7), Debian 12, Linux 6.1, L4T 36.4.3"
    )


def test_this_machine_is_known_json_able_and_cached():
    here = this_machine()
    assert this_machine() is here
    facts = json.loads(json.dumps(dataclasses.asdict(here)))
    assert set(facts) == {field.name for field in dataclasses.fields(Machine)}
    assert 1 <= here.cores <= here.threads <= (os.cpu_count() or 1)
    if sys.platform == "linux":
        assert 0.1 < here.memory_gib < 10_000


def test_reading_is_cheap():
    start = time.process_time()
    read_machine(Path("/"))
    assert time.process_time() - start < 0.2  # 0.02 s


def test_no_runtime_is_imported():
    code = (
        "import sys; from edgeseg.machine.facts import this_machine; this_machine();"
        "print(sorted({'torch', 'cuda', 'pycuda', 'tensorrt', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
