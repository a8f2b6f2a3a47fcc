"""The clock of a benchmark: a warm-up, then every run timed, none left out."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.stream.latency import Percentiles, summarize

__all__ = ["Percentiles", "Timing", "summarize", "time_runs"]


@dataclass(frozen=True)
class Timing:
    """Every timed run in seconds, and the wall clock from the first to the last."""

    seconds: tuple[float, ...]
    wall: float
    """With the preparations between the runs."""


def time_runs(
    run: Callable[[], None],
    prepare: Callable[[int], None],
    *,
    warmup: int,
    runs: int,
    seconds: float | None = None,
) -> Timing:
    """Time `run` `runs` times, or for `seconds` if that is shorter; at least once.

    `prepare(i)` comes before each run, the `warmup` first ones included, and is not timed.
    """
    for i in range(warmup):
        prepare(i)
        run()
    samples: list[float] = []
    start = time.perf_counter_ns()
    limit = float("inf") if seconds is None else start + seconds * 1e9
    end = start
    while len(samples) < runs and (not samples or end < limit):
        prepare(warmup + len(samples))
        begin = time.perf_counter_ns()
        run()
        end = time.perf_counter_ns()
        samples.append((end - begin) / 1e9)
    return Timing(tuple(samples), (end - start) / 1e9)
