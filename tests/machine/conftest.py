"""Drivers for tests, NVML's part and CUDA's, and none."""

import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pynvml
import pytest

from edgeseg.machine import cuda_library
from edgeseg.machine.nvml import NoDriver

GIB = 2**30
ERRORS = {
    0: b"CUDA_SUCCESS", 1: b"CUDA_ERROR_INVALID_VALUE", 34: b"CUDA_ERROR_STUB_LIBRARY",
    100: b"CUDA_ERROR_NO_DEVICE", 803: b"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
}  # fmt: skip


class FakeNvml:
    """The module `pynvml` with a driver of its own; `fails` maps functions to NVML's error codes.

    Constants, errors and the names of functions are the installed package's.
    """

    def __init__(self, count=1, fails=None):
        self.count, self.fails, self.open = count, fails or {}, 0
        self.reasons = 0x01 | 0x04 | 0x40  # idle, power, heat
        self.answers = {
            "nvmlSystemGetDriverVersion": lambda: "580.65.06",
            "nvmlDeviceGetCount": lambda: self.count,
            "nvmlDeviceGetHandleByIndex": lambda index: index + 1,
            "nvmlDeviceGetHandleByPciBusId": lambda bus_id: int(bus_id.split(":")[1], 16),
            "nvmlDeviceGetName": lambda device: f"NVIDIA RTX A2000 no. {device}",
            "nvmlDeviceGetCudaComputeCapability": lambda device: [8, 6],
            "nvmlDeviceGetMemoryInfo": lambda device: SimpleNamespace(total=6 * 2**30),
            "nvmlDeviceGetClockInfo": lambda device, kind: 1200 if kind == 0 else 0,
            "nvmlDeviceGetMaxClockInfo": lambda device, kind: 1500 if kind == 0 else 0,
            "nvmlDeviceGetTemperature": lambda device, sensor: 83 if sensor == 0 else 0,
            "nvmlDeviceGetPowerUsage": lambda device: 69500,
            "nvmlDeviceGetPerformanceState": lambda device: 2,
            "nvmlDeviceGetCurrentClocksEventReasons": lambda device: self.reasons,
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda device: self.reasons,
        }

    def nvmlInit(self):
        self.check("nvmlInit")
        self.open += 1

    def nvmlShutdown(self):
        self.open -= 1

    def check(self, name):
        if name in self.fails:
            raise pynvml.NVMLError(self.fails[name])

    def __getattr__(self, name):
        real = getattr(pynvml, name)
        if name not in self.answers:
            return real

        def call(*arguments):
            self.check(name)
            return self.answers[name](*arguments)

        return call


@pytest.fixture
def install_nvml(monkeypatch):
    """Put a driver in the place of this machine's."""

    def installed(**options):
        library = FakeNvml(**options)
        monkeypatch.setitem(sys.modules, "pynvml", library)
        return library

    return installed


@dataclass(frozen=True)
class PlantedGpu:
    """What CUDA says about a GPU; None: an error."""

    name: str
    capability: tuple[int, int]
    integrated: bool = False
    memory_gib: float | None = 24.0
    bus_id: str | None = "0000:01:00.0"


class FakeCuda:
    """The driver's library as ctypes calls it, with GPUs of its own; `fails`: function -> code."""

    def __init__(self, *gpus, version=13000, fails=None):
        self.gpus, self.version, self.fails = gpus, version, fails or {}

    def cuInit(self, flags):
        return self.fails.get("cuInit", 0 if self.gpus else 100)

    def cuDriverGetVersion(self, version):
        version._obj.value = self.version
        return 0

    def cuDeviceGetCount(self, count):
        count._obj.value = len(self.gpus)
        return 0

    def cuDeviceGet(self, device, number):
        device._obj.value = number
        return 0

    def cuDeviceGetName(self, name, size, device):
        name.value = self.gpus[device.value].name.encode()
        return 0

    def cuDeviceGetAttribute(self, value, attribute, device):
        gpu = self.gpus[device.value]
        known = {18: int(gpu.integrated), 75: gpu.capability[0], 76: gpu.capability[1]}
        value._obj.value = known[attribute]
        return 0

    def cuDeviceTotalMem_v2(self, nbytes, device):
        memory = self.gpus[device.value].memory_gib
        nbytes._obj.value = int((memory or 0) * GIB)
        return int(memory is None)

    def cuDeviceGetPCIBusId(self, text, size, device):
        bus_id = self.gpus[device.value].bus_id
        text.value = (bus_id or "").encode()
        return int(bus_id is None)

    def cuGetErrorName(self, code, text):
        text._obj.value = ERRORS.get(code)
        return 0


@pytest.fixture
def install_cuda(monkeypatch):
    """Put a library of CUDA in the place of this machine's."""

    def installed(*gpus, **options):
        library = FakeCuda(*gpus, **options)
        monkeypatch.setattr(cuda_library, "_loaded", lambda: library)
        return library

    return installed


@pytest.fixture
def no_driver(install_nvml, monkeypatch):
    """A machine without the driver's libraries."""
    install_nvml(fails={"nvmlInit": pynvml.NVML_ERROR_LIBRARY_NOT_FOUND})

    def missing():
        raise NoDriver("libcuda.so.1 cannot be loaded (no such file)")

    monkeypatch.setattr(cuda_library, "_loaded", missing)
