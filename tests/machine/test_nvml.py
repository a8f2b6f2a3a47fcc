"""NVML: a driver that answers, one that fails, and none, without a GPU."""

import sys

import pynvml
import pytest

from edgeseg.machine import nvml


def test_a_gpu_is_found_by_its_place_on_the_bus(install_nvml):
    library = install_nvml(count=2)
    with nvml.Monitor() as first, nvml.Monitor("0000:02:00.0") as second:
        assert first.facts() == nvml.Gpu(
            name="NVIDIA RTX A2000 no. 1", compute_capability="8.6", memory_gib=6.0,
            driver="580.65.06",
        )  # fmt: skip
        assert second.facts().name == "NVIDIA RTX A2000 no. 2"
    assert library.open == 0


def test_the_only_gpu_is_found_wherever_it_is(install_nvml):
    install_nvml(fails={"nvmlDeviceGetHandleByPciBusId": pynvml.NVML_ERROR_NOT_FOUND})
    assert nvml.Monitor("0009:99:00.0").facts().name == "NVIDIA RTX A2000 no. 1"


@pytest.mark.parametrize("refused", ["Name", "MemoryInfo", "CudaComputeCapability"])
def test_each_fact_is_optional(install_nvml, refused):
    install_nvml(fails={f"nvmlDeviceGet{refused}": pynvml.NVML_ERROR_NOT_SUPPORTED})
    facts = vars(nvml.Monitor().facts())
    assert list(facts.values()).count(None) == 1
    install_nvml(fails={"nvmlSystemGetDriverVersion": pynvml.NVML_ERROR_NOT_SUPPORTED})
    assert nvml.Monitor().facts().driver is nvml.driver_release() is None


def test_a_failing_driver_is_reported_in_its_words(install_nvml):
    library = install_nvml(fails={"nvmlInit": pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH})
    with pytest.raises(nvml.DriverError, match=r"version mismatch\. \(NVML error 18\)"):
        nvml.Monitor()
    assert library.open == 0 and nvml.driver_release() is None


def test_a_missing_library_or_package_is_no_driver(install_nvml, monkeypatch):
    install_nvml(fails={"nvmlInit": pynvml.NVML_ERROR_LIBRARY_NOT_FOUND})
    with pytest.raises(nvml.NoDriver, match="NVML Shared Library Not Found"):
        nvml.Monitor()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(nvml.NoDriver, match="nvidia-ml-py cannot be imported"):
        nvml.Monitor()


def test_monitor_reads_the_state_of_a_gpu(install_nvml):
    library = install_nvml()
    gpu = nvml.Monitor()
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
def test_idleness_and_settings_are_no_throttling(install_nvml, bits):
    install_nvml().reasons = bits
    assert nvml.Monitor().read().throttling == ()


def test_monitor_omits_what_a_gpu_refuses(install_nvml):
    refused = ("PowerUsage", "Temperature", "CurrentClocksEventReasons")
    install_nvml(fails={f"nvmlDeviceGet{name}": 3 for name in refused})
    state = nvml.Monitor().read()
    assert (state.watts, state.temperature_c, state.mhz) == (None, None, 1200)
    assert state.throttling == ("GPU: power limit", "GPU: heat (hardware)"), "by the older name"


def test_monitor_omits_what_a_driver_is_too_old_for(install_nvml):
    old = ("CurrentClocksEventReasons", "CurrentClocksThrottleReasons", "PerformanceState")
    missing = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    install_nvml(fails={f"nvmlDeviceGet{name}": missing for name in old})
    state = nvml.Monitor().read()
    assert (state.throttling, state.performance_state, state.max_mhz) == (None, None, 1500)


def test_monitor_shuts_down_where_there_is_no_gpu(install_nvml):
    library = install_nvml(fails={"nvmlDeviceGetHandleByIndex": pynvml.NVML_ERROR_INVALID_ARGUMENT})
    with pytest.raises(nvml.DriverError, match="NVML error 2"):
        nvml.Monitor()
    assert library.open == 0
