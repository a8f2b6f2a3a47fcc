"""Lines on a chip made here; tests/station/test_real_gpio.py has the kernel's."""

import threading
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest

from edgeseg.errors import SinkError
from edgeseg.station.config import GpioConfig
from edgeseg.station.inspection import Code
from edgeseg.station.lines.gpio import Gpio
from tests.kit.errors import fails
from tests.kit.stations import inspection, until

gpiod = pytest.importorskip("gpiod", reason="no gpiod: pip install gpiod")


class Chip:
    """What gpiod hands out: it remembers every level, and delivers edges."""

    def __init__(self):
        self.set, self.edges, self.released, self.wanted = [], [], False, {}

    def request(self, path, config, consumer):
        if path != "/dev/gpiochip0":
            raise FileNotFoundError(2, "No such file or directory")
        self.wanted = config
        return self

    def set_value(self, line, value):
        assert not self.released
        self.set.append((line, value is gpiod.line.Value.ACTIVE))

    def wait_edge_events(self, timeout):
        return until(lambda: self.edges, timeout)

    def read_edge_events(self):
        found, self.edges = self.edges, []
        return found

    def release(self):
        self.released = True

    def levels(self, line):
        return [active for number, active in self.set if number == line]


@pytest.fixture
def chip(monkeypatch):
    found = Chip()
    library = SimpleNamespace(
        line=gpiod.line, LineSettings=gpiod.LineSettings, request_lines=found.request
    )
    monkeypatch.setattr("edgeseg.station.lines.gpio.require", lambda *_, **__: library)
    return found


def opened(ask=lambda: None, **changes):
    return Gpio(GpioConfig(ok=1, not_ok=2, **changes), ask)


@pytest.mark.parametrize(("code", "line"), [(Code.OK, 1), (Code.ANOMALOUS, 2), (Code.LATE, 2)])
def test_one_line_has_a_pulse(chip, code, line):
    with opened(pulse_ms=30.0) as gpio:
        gpio.show(inspection(code=code, arrived=time.time()))
        assert chip.set[:2] == [(line, True), (3 - line, False)]
        assert until(lambda: len(chip.levels(line)) == 2)
        assert chip.levels(line) == [True, False]
    assert chip.levels(3 - line) == [False, False]
    assert chip.released


def test_the_next_part_ends_the_pulse_of_the_one_before(chip):
    with opened(pulse_ms=10_000.0) as gpio:
        gpio.show(inspection(1))
        gpio.show(inspection(2, code=Code.ANOMALOUS))
        assert chip.set == [(1, True), (2, False), (2, True), (1, False)]
    assert chip.levels(2)[-1] is False


def test_a_good_part_that_is_late_is_not_ok(chip):
    with opened(deadline_ms=60_000.0) as gpio:
        gpio.show(inspection(1, arrived=time.time()))
        gpio.show(inspection(2, arrived=time.time() - 3600))
    assert chip.set[:4] == [(1, True), (2, False), (2, True), (1, False)]


def test_a_good_part_that_is_late_is_not_ok_after_the_clock_was_set_back(chip):
    with opened(deadline_ms=100.0) as gpio:
        gpio.show(inspection(1, arrived=time.time() + 3600, ms=300.0))
    assert chip.set[:2] == [(2, True), (1, False)]


def test_another_camera_is_not_shown(chip):
    with opened(camera="side") as gpio:
        gpio.show(inspection(1))
        assert chip.set == []


def test_ready_stands_still_when_the_station_does(chip, monkeypatch):
    monkeypatch.setattr("edgeseg.station.lines.gpio.BEAT", 0.02)
    monkeypatch.setattr("edgeseg.station.lines.gpio.PATIENCE", 0.1)
    with opened(ready=3) as gpio:
        assert until(lambda: gpio.beat() or len(chip.levels(3)) >= 4)
        time.sleep(0.3)
        still = len(chip.levels(3))
        time.sleep(0.2)
        assert len(chip.levels(3)) == still
    levels = chip.levels(3)
    assert all(one != other for one, other in pairwise(levels[:-1]))
    assert levels[-1] is False


def test_the_thread_sleeps_also_without_a_ready_line(chip, monkeypatch):
    waits = []

    class Noted(threading.Condition):
        def wait(self, timeout=None):
            waits.append(timeout)
            return super().wait(timeout)

    monkeypatch.setattr(threading, "Condition", Noted)
    with opened():
        assert until(lambda: [each for each in waits if each is not None])
    assert all(each is None or each > 0 for each in waits)


def test_an_edge_asks_for_a_frame(chip):
    asked = []
    with opened(lambda: asked.append(1), trigger=4):
        chip.edges = ["rising", "rising"]
        assert until(lambda: len(asked) == 2)
    assert chip.wanted[4].edge_detection is gpiod.line.Edge.RISING


def test_a_missing_chip_is_named(chip):
    with fails(SinkError, "station/gpio"):
        opened(chip="/dev/gpiochip9")
