"""Timing of inferences: warm-up iterations, then timed ones, of which none is left out."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.stream.pipeline.pace import Pace


@dataclass(frozen=True)
class Timing:
    """Every timed iteration in seconds, and the time from the first to the last."""

    seconds: tuple[float, ...]
    wall: float
    """Includes the preparations between the iterations."""


def time_iterations(
    run: Callable[[], None],
    prepare: Callable[[int], None],
    *,
    warmup: int,
    iterations: int,
    seconds: float | None = None,
    pace: Pace | None = None,
    keep_warm: bool = False,
) -> Timing:
    """Time `run` `iterations` times, or for `seconds` if that is shorter; at least once.

    `prepare(i)` is called before each iteration, including warm-up, and is not timed. With a pace
    each timed iteration waits for its start before it is prepared, as for a trigger; `keep_warm`
    fills the wait with untimed runs on the frame in the slot.
    """
    for i in range(warmup):
        prepare(i)
        run()
    samples: list[float] = []
    start = time.perf_counter_ns()
    limit = float("inf") if seconds is None else start + seconds * 1e9
    end = start
    while len(samples) < iterations and (not samples or (pace.next_ns if pace else end) < limit):
        if pace:
            pace.wait(run if keep_warm else None, round(max(samples, default=0.0) * 1e9))
        prepare(warmup + len(samples))
        begin = time.perf_counter_ns()
        run()
        end = time.perf_counter_ns()
        samples.append((end - begin) / 1e9)
    return Timing(tuple(samples), (end - start) / 1e9)
