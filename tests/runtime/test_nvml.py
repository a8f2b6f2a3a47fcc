"""A driver that answers, one that is broken: told apart, without a GPU."""

import pytest

from edgeseg.runtime import nvml


class FakeNvml:
    """Stands in for the library: fills what `byref` points at; `fails` maps calls to codes."""

    def __init__(self, count=1, fails=None):
        self.count = count
        self.fails = fails or {}
        self.open = 0
        self.nvmlErrorString = lambda code: b"Driver/library version mismatch"

    def __getattr__(self, name):
        def call(*arguments):
            if name in self.fails:
                return self.fails[name]
            getattr(self, "_" + name)(*arguments)
            return 0

        return call

    def _nvmlInit_v2(self):
        self.open += 1

    def _nvmlShutdown(self):
        self.open -= 1

    def _nvmlDeviceGetCount_v2(self, count):
        count._obj.value = self.count

    def _nvmlSystemGetDriverVersion(self, text, size):
        text.value = b"580.65.06"

    def _nvmlDeviceGetHandleByIndex_v2(self, index, device):
        device._obj.value = 1 + index.value

    def _nvmlDeviceGetName(self, device, text, size):
        text.value = b"NVIDIA RTX A2000 no. %d" % device.value

    def _nvmlDeviceGetCudaComputeCapability(self, device, major, minor):
        major._obj.value, minor._obj.value = 8, 6

    def _nvmlDeviceGetMemoryInfo(self, device, memory):
        memory._obj.total = 6 * 2**30


def test_every_gpu_is_read_and_the_library_closed():
    library = FakeNvml(count=2)
    first, second = nvml.read_gpus(library)
    assert first == nvml.Gpu("NVIDIA RTX A2000 no. 1", "8.6", 6.0, "580.65.06")
    assert second.name == "NVIDIA RTX A2000 no. 2"
    assert library.open == 0


def test_a_driver_without_a_gpu_gives_none():
    assert nvml.read_gpus(FakeNvml(count=0)) == []


def test_an_error_speaks_in_the_drivers_words():
    with pytest.raises(
        nvml.NvmlError, match=r"nvmlInit_v2: Driver/library version mismatch \(code 18\)"
    ):
        nvml.read_gpus(FakeNvml(fails={"nvmlInit_v2": 18}))


def test_the_library_is_closed_after_an_error():
    library = FakeNvml(fails={"nvmlDeviceGetName": 15})
    with pytest.raises(nvml.NvmlError, match="nvmlDeviceGetName"):
        nvml.read_gpus(library)
    assert library.open == 0


def test_a_missing_library_is_an_os_error(monkeypatch):
    monkeypatch.setattr(nvml, "LIBRARY", "libnvidia-ml-of-nobody.so.1")
    with pytest.raises(OSError, match="libnvidia-ml-of-nobody"):
        nvml.load()
