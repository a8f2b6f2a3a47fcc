"""A driver that answers, one that is broken: told apart, without a GPU."""

import pytest

from edgeseg.machine import nvml


class FakeNvml:
    """Stands in for the library: fills what `byref` points at; `fails` maps calls to codes."""

    def __init__(self, count=1, fails=None):
        self.count = count
        self.fails = fails or {}
        self.open = 0
        self.reasons = 0x01 | 0x04 | 0x40  # idle, power, heat
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

    def _nvmlDeviceGetClockInfo(self, device, kind, mhz):
        mhz._obj.value = 1200 if kind.value == 0 else 0

    def _nvmlDeviceGetMaxClockInfo(self, device, kind, mhz):
        mhz._obj.value = 1500 if kind.value == 0 else 0

    def _nvmlDeviceGetTemperature(self, device, sensor, celsius):
        celsius._obj.value = 83 if sensor.value == 0 else 0

    def _nvmlDeviceGetPowerUsage(self, device, milliwatts):
        milliwatts._obj.value = 69500

    def _nvmlDeviceGetPerformanceState(self, device, state):
        state._obj.value = 2

    def _nvmlDeviceGetCurrentClocksEventReasons(self, device, bits):
        bits._obj.value = self.reasons

    def _nvmlDeviceGetCurrentClocksThrottleReasons(self, device, bits):
        bits._obj.value = self.reasons


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


def monitor(monkeypatch, library):
    monkeypatch.setattr(nvml, "load", lambda: library)
    return nvml.Monitor()


def test_the_state_of_a_gpu(monkeypatch):
    library = FakeNvml()
    gpu = monitor(monkeypatch, library)
    assert library.open == 1
    assert gpu.read() == nvml.GpuState(
        mhz=1200,
        max_mhz=1500,
        temperature_c=83,
        watts=69.5,
        performance_state="P2",
        throttling=("GPU: power limit", "GPU: heat (hardware)"),
    )
    gpu.close()
    assert library.open == 0


@pytest.mark.parametrize("bits", [0x00, 0x01, 0x02, 0x10, 0x100])
def test_idleness_settings_and_neighbors_are_no_throttling(monkeypatch, bits):
    library = FakeNvml()
    library.reasons = bits
    assert monitor(monkeypatch, library).read().throttling == ()


def test_what_a_gpu_refuses_is_none_and_the_rest_holds(monkeypatch):
    refused = ("PowerUsage", "Temperature", "CurrentClocksEventReasons")
    library = FakeNvml(fails={f"nvmlDeviceGet{name}": 3 for name in refused})
    state = monitor(monkeypatch, library).read()
    assert (state.watts, state.temperature_c, state.mhz) == (None, None, 1200)
    assert state.throttling == ("GPU: power limit", "GPU: heat (hardware)"), "by the older name"


def test_a_driver_older_than_the_functions(monkeypatch):
    class Old(FakeNvml):
        def __getattr__(self, name):
            if "Reasons" in name or "PerformanceState" in name:
                raise AttributeError(name)
            return super().__getattr__(name)

    state = monitor(monkeypatch, Old()).read()
    assert (state.throttling, state.performance_state, state.max_mhz) == (None, None, 1500)


def test_a_driver_without_a_gpu_is_let_go(monkeypatch):
    library = FakeNvml(fails={"nvmlDeviceGetHandleByIndex_v2": 2})
    with pytest.raises(nvml.NvmlError, match="code 2"):
        monitor(monkeypatch, library)
    assert library.open == 0
