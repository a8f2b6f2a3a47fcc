"""The clock of the benchmark, with a planned time."""

import pytest

from edgeseg.bench.timing import summarize, time_runs
from edgeseg.stream.pipeline.pace import Pace


class Clock:
    """Nanoseconds that only pass when the work says so."""

    def __init__(self, monkeypatch):
        self.now = 0
        monkeypatch.setattr("time.perf_counter_ns", lambda: self.now)
        monkeypatch.setattr("time.sleep", lambda seconds: self.passes(seconds * 1e3))

    def passes(self, milliseconds):
        self.now += round(milliseconds * 1e6)


def test_every_run_after_the_warm_up_is_timed_and_the_preparation_is_not(monkeypatch):
    clock = Clock(monkeypatch)
    durations = iter([500, 400, 3, 5, 70, 4])  # two of warm-up
    prepared = []

    def prepare(i):
        prepared.append(i)
        clock.passes(10)

    timing = time_runs(lambda: clock.passes(next(durations)), prepare, warmup=2, runs=4)
    assert timing.seconds == pytest.approx([0.003, 0.005, 0.070, 0.004])
    assert timing.wall == pytest.approx(0.122), "four runs and what prepared them"
    assert prepared == [0, 1, 2, 3, 4, 5]
    assert summarize(timing.seconds).max_ms == pytest.approx(70), "the spike stays in"


def test_a_time_limit_ends_early_and_never_before_the_first_run(monkeypatch):
    clock = Clock(monkeypatch)
    run = lambda: clock.passes(30)  # noqa: E731
    timing = time_runs(run, lambda i: None, warmup=0, runs=1000, seconds=0.1)
    assert len(timing.seconds) == 4
    timing = time_runs(run, lambda i: None, warmup=0, runs=1000, seconds=0.001)
    assert len(timing.seconds) == 1


def test_a_pace_begins_each_timed_run_in_its_slot(monkeypatch):
    clock = Clock(monkeypatch)
    durations = iter([50, 3, 150, 4, 5])  # one of warm-up
    begun = []

    def prepare(i):
        begun.append(clock.now / 1e6)
        clock.passes(1)

    pace = Pace(0.1)
    run = lambda: clock.passes(next(durations))  # noqa: E731
    timing = time_runs(run, prepare, warmup=1, runs=4, pace=pace)
    assert begun == [0, 51, 151, 351, 451], "the slots begin after the warm-up"
    assert timing.seconds == pytest.approx([0.003, 0.150, 0.004, 0.005])
    assert timing.wall == pytest.approx(0.406)
    assert pace.missed == 1


def test_a_time_limit_does_not_wait_for_a_slot_beyond_it(monkeypatch):
    clock = Clock(monkeypatch)
    run = lambda: clock.passes(5)  # noqa: E731
    timing = time_runs(run, lambda i: None, warmup=0, runs=99, seconds=25, pace=Pace(10))
    assert len(timing.seconds) == 3, "at 0, 10 and 20 s"
    assert clock.now == 20_005 * 1e6


def test_runs_that_keep_warm_are_not_timed_and_not_prepared(monkeypatch):
    clock = Clock(monkeypatch)
    calls, prepared = [], []

    def run():
        calls.append(clock.now)
        clock.passes(50)

    pace = Pace(1.0)
    timing = time_runs(run, prepared.append, warmup=0, runs=3, pace=pace, keep_warm=True)
    assert timing.seconds == pytest.approx([0.05] * 3)
    assert prepared == [0, 1, 2]
    assert pace.filled == 18, "two idle times of 950 ms, each with a run per 100"
    assert len(calls) == 3 + 18
