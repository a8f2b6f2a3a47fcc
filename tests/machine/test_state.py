"""The state of planted machines at one moment."""

import pytest

from edgeseg.machine.nvml import GpuState, Monitor
from edgeseg.machine.state import DeviceState, read_state
from tests.machine.planted import plant, plant_cpu, plant_orin, plant_quota


@pytest.fixture(autouse=True)
def driver(no_driver):
    """Without a driver, unless the test installs one."""


def test_a_jetson(tmp_path):
    plant_orin(tmp_path)
    state = read_state(tmp_path)
    assert (state.power_mode, state.cpu_governor) == ("15W (mode 0)", "schedutil")
    assert state.gpu == GpuState(mhz=306.0, min_mhz=306.0, max_mhz=612.0)
    assert (state.cpu_mhz, state.cpu_max_mhz) == (1510.4, 1510.4)
    assert state.throttling == ()


def test_a_desktop_with_its_driver(tmp_path, install_nvml):
    library = install_nvml()
    plant_cpu(tmp_path, khz=(3_000_000,), top=4_000_000, governor="powersave")
    plant(tmp_path, "sys/class/thermal/cooling_device0/type", "Processor")
    plant(tmp_path, "sys/class/thermal/cooling_device0/cur_state", 2)
    with Monitor() as monitor:
        gpu = monitor.read()
    assert read_state(tmp_path) == DeviceState(
        cpu_governor="powersave",
        cpu_mhz=3000.0,
        cpu_max_mhz=4000.0,
        gpu=gpu,
        temperatures_c={"GPU": 83},
        throttling=("GPU: power limit", "GPU: heat (hardware)", "cooling by Processor"),
    )
    assert library.open == 0


def test_a_container_shows_its_quota_alone(tmp_path):
    plant_quota(tmp_path, 7)
    quota = {"CPU quota of the container": 7}
    assert read_state(tmp_path) == DeviceState(counters=quota)


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetHandleByIndex"])
def test_a_driver_that_fails_tells_nothing(tmp_path, install_nvml, call):
    install_nvml(fails={call: 18})
    assert read_state(tmp_path) == DeviceState()


def test_a_driver_is_not_asked_where_the_gpu_is_in_the_chip(tmp_path, install_nvml):
    plant_orin(tmp_path)
    install_nvml()
    assert "GPU" not in read_state(tmp_path).temperatures_c
