"""time_iterations, on a clock that only work advances."""

import pytest

from edgeseg.bench.timing import time_iterations
from edgeseg.stream.pipeline.latency import summarize
from edgeseg.stream.pipeline.pace import Pace


class Clock:
    """Nanoseconds that pass by work and sleep."""

    def __init__(self, monkeypatch):
        self.now = 0
        monkeypatch.setattr("time.perf_counter_ns", lambda: self.now)
        monkeypatch.setattr("time.sleep", lambda seconds: self.passes(seconds * 1e3))

    def passes(self, milliseconds):
        self.now += round(milliseconds * 1e6)


def test_every_iteration_after_the_warm_up_is_timed_without_its_preparation(monkeypatch):
    clock = Clock(monkeypatch)
    durations = iter([500, 400, 3, 5, 70, 4])  # two of warm-up
    prepared = []

    def prepare(i):
        prepared.append(i)
        clock.passes(10)

    timing = time_iterations(lambda: clock.passes(next(durations)), prepare, warmup=2, iterations=4)
    assert timing.seconds == pytest.approx([0.003, 0.005, 0.070, 0.004])
    assert timing.wall == pytest.approx(0.122), "four iterations and their preparations"
    assert prepared == [0, 1, 2, 3, 4, 5]
    assert summarize(timing.seconds).max_ms == pytest.approx(70), "the spike stays in"


def test_a_time_limit_ends_early_but_not_before_the_first_iteration(monkeypatch):
    clock = Clock(monkeypatch)
    run = lambda: clock.passes(30)  # noqa: E731
    timing = time_iterations(run, lambda i: None, warmup=0, iterations=1000, seconds=0.1)
    assert len(timing.seconds) == 4
    timing = time_iterations(run, lambda i: None, warmup=0, iterations=1000, seconds=0.001)
    assert len(timing.seconds) == 1


def test_a_pace_starts_each_timed_iteration(monkeypatch):
    clock = Clock(monkeypatch)
    durations = iter([50, 3, 150, 4, 5])  # one of warm-up
    begun = []

    def prepare(i):
        begun.append(clock.now / 1e6)
        clock.passes(1)

    pace = Pace(0.1)
    run = lambda: clock.passes(next(durations))  # noqa: E731
    timing = time_iterations(run, prepare, warmup=1, iterations=4, pace=pace)
    assert begun == [0, 51, 151, 351, 451], "paced after the warm-up"
    assert timing.seconds == pytest.approx([0.003, 0.150, 0.004, 0.005])
    assert timing.wall == pytest.approx(0.406)
    assert pace.missed == 1


def test_a_time_limit_does_not_wait_for_a_start_beyond_it(monkeypatch):
    clock = Clock(monkeypatch)
    run = lambda: clock.passes(5)  # noqa: E731
    timing = time_iterations(
        run, lambda i: None, warmup=0, iterations=99, seconds=25, pace=Pace(10)
    )
    assert len(timing.seconds) == 3, "at 0, 10 and 20 s"
    assert clock.now == 20_005 * 1e6


def test_keep_warm_iterations_are_not_timed_and_not_prepared(monkeypatch):
    clock = Clock(monkeypatch)
    calls, prepared = [], []

    def run():
        calls.append(clock.now)
        clock.passes(50)

    pace = Pace(1.0)
    timing = time_iterations(
        run, prepared.append, warmup=0, iterations=3, pace=pace, keep_warm=True
    )
    assert timing.seconds == pytest.approx([0.05] * 3)
    assert prepared == [0, 1, 2]
    assert pace.filled == 18, "two idle times of 950 ms, each with a run per 100"
    assert len(calls) == 3 + 18
