"""A driver for tests, and none."""

import sys
from types import SimpleNamespace

import pynvml
import pytest


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


@pytest.fixture
def no_driver(install_nvml):
    """A machine without the driver's library."""
    install_nvml(fails={"nvmlInit": pynvml.NVML_ERROR_LIBRARY_NOT_FOUND})
