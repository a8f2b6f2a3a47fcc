"""Pace and Trigger, on a clock that advances only by sleep and work."""

import pytest

from edgeseg.stream.pipeline.pace import Pace, Trigger
from edgeseg.stream.source.base import Frame

MS = 1_000_000


class Clock:
    """Nanoseconds that advance by sleep and work."""

    def __init__(self, monkeypatch):
        self.now = 5_000 * MS
        self.slept = []
        monkeypatch.setattr("time.perf_counter_ns", lambda: self.now)
        monkeypatch.setattr("time.sleep", self.sleep)

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += round(seconds * 1e9)

    def works(self, ms):
        self.now += round(ms * MS)

    def starts(self, pace, durations, **wait):
        """Work for the durations in ms; return the start of each, in ms from the first."""
        begins = []
        for duration in durations:
            pace.wait(**wait)
            begins.append(self.now)
            self.works(duration)
        return [(begin - begins[0]) / MS for begin in begins]


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_work_starts_once_per_period(clock):
    pace = Pace(0.1)
    assert clock.starts(pace, [30, 70, 5, 1]) == [0, 100, 200, 300]
    assert clock.slept == pytest.approx([0.07, 0.03, 0.095])
    assert (pace.missed, pace.filled) == (0, 0)


def test_starts_that_pass_are_missed_and_not_caught_up(clock):
    pace = Pace(0.1)
    assert clock.starts(pace, [30, 250, 5, 120, 1]) == [0, 100, 400, 500, 700]
    assert pace.missed == 2 + 1


def test_work_of_exactly_one_period_misses_none(clock):
    pace = Pace(0.1)
    assert clock.starts(pace, [100, 100, 1]) == [0, 100, 200]
    assert pace.missed == 0
    assert clock.slept == []


def test_starts_do_not_drift(clock):
    pace = Pace(1 / 30)
    begins = clock.starts(pace, [4] * 3001)
    assert begins[-1] == pytest.approx(100_000, abs=0.01), "10 microseconds in 100 seconds"
    assert pace.missed == 0


def test_an_early_wakeup_continues_to_sleep(clock, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda s: clock.sleep(s / 2 if s > 1e-6 else s))
    assert clock.starts(Pace(0.1), [10, 10]) == [0, 100]


def test_next_ns_is_the_next_start(clock):
    pace = Pace(0.1)
    assert pace.next_ns == clock.now
    start = clock.now
    clock.starts(pace, [30])
    assert pace.next_ns == start + 100 * MS
    clock.works(200)
    assert pace.next_ns == start + 300 * MS
    assert pace.missed == 0, "reading next_ns is not a wait"


def test_idle_time_is_filled_while_it_fits(clock):
    pace = Pace(1.0)
    begins = clock.starts(pace, [40, 40], fill=lambda: clock.works(40), lasts_ns=40 * MS)
    assert begins == [0, 1000]
    assert pace.filled == 10, "every 90 ms from 40 on; no time for 50 + 40 after 940"
    assert pace.missed == 0


def test_fill_never_delays_a_start(clock):
    pace = Pace(0.2)
    fill = lambda: clock.works(138)  # noqa: E731
    assert clock.starts(pace, [138, 138, 138], fill=fill, lasts_ns=138 * MS) == [0, 200, 400]
    assert (pace.missed, pace.filled) == (0, 0)


def test_fill_is_assumed_to_take_its_longest_time(clock):
    pace = Pace(1.0)
    durations = iter([10, 500, 10, 10, 10, 10])
    clock.starts(pace, [10, 10], fill=lambda: clock.works(next(durations)), lasts_ns=10 * MS)
    assert pace.filled == 2, "after 620, the longest call of 500 ends after 1000"


def test_a_trigger_takes_the_first_frame_at_or_after_each_period():
    trigger = Trigger(1e-6)
    arrivals = [500, 900, 1400, 1500, 2499, 2600, 2700, 6000, 6400, 6500]
    assert [a for a in arrivals if trigger.takes(Frame(arrival=a))] == [500, 1500, 2600, 6000, 6500]
    assert trigger.dropped == 5
    assert trigger.missed == 2, "no frame at 3500 and 4500"
