"""The clock of a benchmark: a warm-up, then every run timed, none left out."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.stream.pipeline.latency import Percentiles, summarize
from edgeseg.stream.pipeline.pace import Pace

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
    pace: Pace | None = None,
    keep_warm: bool = False,
) -> Timing:
    """Time `run` `runs` times, or for `seconds` if that is shorter; at least once.

    `prepare(i)` comes before each run, the `warmup` first ones included, and is not timed. With a
    pace each timed run waits for its slot before it is prepared, as for a trigger; to keep warm,
    the wait is filled with runs on the frame that lies in the slot, and those are not timed.
    """
    for i in range(warmup):
        prepare(i)
        run()
    samples: list[float] = []
    start = time.perf_counter_ns()
    limit = float("inf") if seconds is None else start + seconds * 1e9
    end = start
    while len(samples) < runs and (not samples or (pace.next_ns if pace else end) < limit):
        if pace:
            pace.wait(run if keep_warm else None, round(max(samples, default=0.0) * 1e9))
        prepare(warmup + len(samples))
        begin = time.perf_counter_ns()
        run()
        end = time.perf_counter_ns()
        samples.append((end - begin) / 1e9)
    return Timing(tuple(samples), (end - start) / 1e9)
