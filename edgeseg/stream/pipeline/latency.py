"""Latencies as percentiles: the tail is the figure that a line is planned with.

Percentiles are nearest-rank: each is a sample that really happened. Nothing is clipped, averaged
away or interpolated; a p99 of fewer than a hundred samples is therefore their maximum.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT = 1 << 19  # samples: 2 MB, 4.8 hours at 30 frames a second


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """What n samples say, in milliseconds."""

    n: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    """Of a thousand samples one is larger."""
    max_ms: float
    mean_ms: float

    def line(self) -> str:
        """Return the percentiles and their n in one line."""
        return (
            f"p50 {self.p50_ms:.2f} ms  p90 {self.p90_ms:.2f} ms  p99 {self.p99_ms:.2f} ms  "
            f"p99.9 {self.p999_ms:.2f} ms  max {self.max_ms:.2f} ms  n {self.n}"
        )


def summarize(seconds: Sequence[float] | NDArray[np.floating[Any]]) -> Percentiles:
    """Summarize one or more durations in seconds by their nearest-rank percentiles."""
    ordered = np.sort(np.asarray(seconds, np.float64)) * 1e3
    n = ordered.size
    if not n:
        raise ValueError("no samples")

    def rank(thousandths: int) -> float:
        return float(ordered[-(-thousandths * n // 1000) - 1])  # the ceiling of that share, from 1

    return Percentiles(
        n=n,
        p50_ms=rank(500),
        p90_ms=rank(900),
        p99_ms=rank(990),
        p999_ms=rank(999),
        max_ms=float(ordered[-1]),
        mean_ms=float(ordered.mean()),
    )


class Latencies:
    """The newest samples of an endless stream, in memory that does not grow."""

    def __init__(self, kept: int = KEPT) -> None:
        # float32 is exact to 60 ns in a second. Filled, and not zeros: those get their memory
        # when they are first written, and a stream would seem to leak.
        self._seconds = np.full(kept, np.nan, np.float32)
        self.count = 0
        """Samples ever added; the summary covers the newest of them."""

    def add(self, seconds: float) -> None:
        self._seconds[self.count % self._seconds.size] = seconds
        self.count += 1

    def summary(self) -> Percentiles:
        return summarize(self._seconds[: self.count])
