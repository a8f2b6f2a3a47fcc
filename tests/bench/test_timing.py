"""The clock of the benchmark, with a planned time."""

import pytest

from edgeseg.bench.timing import summarize, time_runs


class Clock:
    """Nanoseconds that only pass when the work says so."""

    def __init__(self, monkeypatch):
        self.now = 0
        monkeypatch.setattr("time.perf_counter_ns", lambda: self.now)

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
