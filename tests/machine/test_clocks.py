"""The clock report of planted states and planted machines."""

import dataclasses
import json
import threading

import pytest

from edgeseg.machine import clocks
from edgeseg.machine.clocks import Clock, Tally, Watch
from edgeseg.machine.nvml import GpuState
from edgeseg.machine.state import DeviceState
from tests.machine.planted import plant, plant_orin, plant_quota


@pytest.fixture(autouse=True)
def driver(no_driver):
    """No test asks this machine's driver."""


def tally(*states):
    seen = Tally()
    for one in states:
        seen.add(one)
    return seen.report()


def test_the_clock_over_the_samples_without_the_first():
    report = tally(
        *(DeviceState(gpu=GpuState(mhz=mhz, max_mhz=1000.0)) for mhz in (100, 1000, 950, 949, 300))
    )
    assert report.gpu == Clock(300, 949.5, 1000, 1000.0, 0.5)
    assert report.samples == 4
    (line,) = report.lines()
    assert line == (
        "GPU clock   300 / 950 / 1000 MHz (min / median / max, n 4) of 1000; "
        "50% of n below 95% of it, idle or throttled"
    )


def test_a_clock_without_a_limit_has_no_share():
    report = tally(DeviceState(cpu_mhz=800.0), DeviceState(cpu_mhz=900.0, cpu_governor="ondemand"))
    assert report.cpu == Clock(900.0, 900.0, 900.0, None, None)
    assert report.lines() == [
        "CPU clock   fastest core 900 / 900 / 900 MHz (min / median / max, n 1), governor ondemand"
    ]


@pytest.mark.parametrize(
    ("values", "throttled"),
    [
        ([{}, {}], None),
        ([{"throttling": ()}, {"throttling": ()}], False),
        ([{"counters": {"heat": 3}}, {"counters": {"heat": 3}}], False),
        ([{"counters": {"heat": 3}}, {"counters": {"heat": 4}}], True),
        ([{"throttling": ()}, {"throttling": ("GPU: heat",)}, {"throttling": ()}], True),
        ([{"gpu": GpuState(mhz=1.0, max_mhz=9.0)}] * 2, None),
    ],
)
def test_throttled_is_three_valued(values, throttled):
    report = tally(*(DeviceState(**one) for one in values))
    assert report.throttled is throttled


def test_the_causes_are_named_in_the_warning():
    before = DeviceState(counters={"quota": 5, "oc1": 1}, throttling=())
    report = tally(before, DeviceState(counters={"quota": 12, "oc1": 1}, throttling=("GPU: heat",)))
    assert report.throttling_events == {"quota": 7}
    assert report.lines() == ["THROTTLED   GPU: heat; quota, 7 times"]


def test_a_machine_that_shows_nothing_adds_no_line():
    report = tally(DeviceState(), DeviceState())
    assert report.lines() == []
    assert (report.samples, report.throttled) == (1, None)


def test_the_hottest_sensor_and_the_most_power():
    report = tally(
        DeviceState(temperatures_c={"tj": 99.0}),
        DeviceState(temperatures_c={"cpu": 51.0, "gpu": 72.5}, gpu=GpuState(watts=40.0)),
        DeviceState(temperatures_c={"cpu": 60.0, "gpu": 71.0}, gpu=GpuState(watts=31.0)),
    )
    assert (report.hottest, report.hottest_c, report.gpu_watts_max) == ("gpu", 72.5, 40.0)
    assert report.lines() == ["hottest     72 °C, gpu"]


def test_modes_and_performance_states_are_told_in_their_order():
    modes = ("15W", "15W", "MAXN")
    states = ("P0", "P8", "P0")
    pairs = zip(modes, states, strict=True)
    report = tally(
        *(DeviceState(power_mode=m, gpu=GpuState(performance_state=p)) for m, p in pairs)
    )
    assert report.power_mode == "15W, then MAXN"
    assert report.gpu_performance_states == ("P8", "P0")


def test_an_endless_watch_keeps_what_happened_and_not_every_sample(monkeypatch):
    monkeypatch.setattr(clocks, "KEPT", 10)
    early = DeviceState(cpu_mhz=1.0, throttling=("GPU: heat",), temperatures_c={"cpu": 90.0})
    report = tally(DeviceState(), early, *[DeviceState(cpu_mhz=5.0)] * 100)
    assert (report.samples, report.cpu.min_mhz) == (101, 5.0)
    assert (report.throttling, report.hottest_c) == (("GPU: heat",), 90.0)


def test_a_watch_over_a_jetson_whose_supply_gives_in(tmp_path):
    plant_orin(tmp_path, mhz=612)
    with Watch(tmp_path, every=3600) as watch:
        plant(tmp_path, "sys/class/hwmon/hwmon3/oc3_event_cnt", 30)
    report = watch.report()
    assert report.throttling_events == {"over-current or under-voltage (oc3)": 3}
    assert (report.throttled, report.samples) == (True, 1)
    document = json.loads(json.dumps(dataclasses.asdict(report)))
    assert document["power_mode"] == "15W (mode 0)"
    assert document["gpu"]["low_share"] == 0.0
    assert document["gpu_watts_max"] is None
    assert [line.split()[0] for line in report.lines()] == [
        *("power", "GPU", "CPU", "hottest", "THROTTLED"),
    ]


def test_a_watch_samples_meanwhile_and_its_thread_ends(tmp_path):
    plant_quota(tmp_path, 1)
    with Watch(tmp_path, every=0.001) as watch:
        for _ in range(2000):  # 2 s at most
            if watch.report().samples > 2:
                break
            threading.Event().wait(0.001)
        assert watch.report().samples > 2
    assert watch.report().throttled is False
    assert "clocks" not in {thread.name for thread in threading.enumerate()}


def test_a_watch_does_not_hide_an_error(tmp_path):
    with pytest.raises(KeyError), Watch(tmp_path, every=3600):
        raise KeyError("frame")
    assert "clocks" not in {thread.name for thread in threading.enumerate()}
