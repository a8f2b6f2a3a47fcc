"""The pace, on a clock that only passes when someone sleeps or works."""

import pytest

from edgeseg.stream.pipeline.pace import Pace

MS = 1_000_000


class Clock:
    """Nanoseconds; `beats` has the time of each beginning."""

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

    def beats(self, pace, durations, **wait):
        """Run through the durations in ms; return when each began, in ms from the first."""
        begins = []
        for duration in durations:
            pace.wait(**wait)
            begins.append(self.now)
            self.works(duration)
        return [(begin - begins[0]) / MS for begin in begins]


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_a_run_begins_at_each_slot_and_sleeps_between(clock):
    pace = Pace(0.1)
    assert clock.beats(pace, [30, 70, 5, 1]) == [0, 100, 200, 300]
    assert clock.slept == pytest.approx([0.07, 0.03, 0.095])
    assert (pace.missed, pace.filled) == (0, 0)


def test_slots_that_pass_are_missed_and_not_made_up_for(clock):
    pace = Pace(0.1)
    assert clock.beats(pace, [30, 250, 5, 120, 1]) == [0, 100, 400, 500, 700]
    assert pace.missed == 2 + 1


def test_a_run_that_ends_with_its_slot_misses_none(clock):
    pace = Pace(0.1)
    assert clock.beats(pace, [100, 100, 1]) == [0, 100, 200]
    assert pace.missed == 0
    assert clock.slept == []


def test_slots_do_not_drift(clock):
    pace = Pace(1 / 30)
    begins = clock.beats(pace, [4] * 3001)
    assert begins[-1] == pytest.approx(100_000, abs=0.01), "10 microseconds in 100 seconds"
    assert pace.missed == 0


def test_a_sleep_that_ends_early_is_slept_again(clock, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda s: clock.sleep(s / 2 if s > 1e-6 else s))
    assert clock.beats(Pace(0.1), [10, 10]) == [0, 100]


def test_the_next_slot_is_known_beforehand(clock):
    pace = Pace(0.1)
    assert pace.next_ns == clock.now
    start = clock.now
    clock.beats(pace, [30])
    assert pace.next_ns == start + 100 * MS
    clock.works(200)
    assert pace.next_ns == start + 300 * MS
    assert pace.missed == 0, "looking is not waiting"


def test_idle_time_is_filled_while_it_fits(clock):
    pace = Pace(1.0)
    begins = clock.beats(pace, [40, 40], fill=lambda: clock.works(40), lasts_ns=40 * MS)
    assert begins == [0, 1000]
    assert pace.filled == 10, "each 90 ms from 40 on; after 940 no room for 50 and 40 more"
    assert pace.missed == 0


def test_a_filling_never_delays_a_slot(clock):
    pace = Pace(0.2)
    fill = lambda: clock.works(138)  # noqa: E731
    assert clock.beats(pace, [138, 138, 138], fill=fill, lasts_ns=138 * MS) == [0, 200, 400]
    assert (pace.missed, pace.filled) == (0, 0)


def test_a_filling_that_was_slow_once_is_trusted_less(clock):
    pace = Pace(1.0)
    durations = iter([10, 500, 10, 10, 10, 10])
    clock.beats(pace, [10, 10], fill=lambda: clock.works(next(durations)), lasts_ns=10 * MS)
    assert pace.filled == 2, "at 620 the longest, 500, no longer fits before 1000"
