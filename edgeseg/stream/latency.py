"""Latencies as percentiles: the tail is the figure that a line is planned with.

Percentiles are nearest-rank: each is a sample that really happened. Nothing is clipped, averaged
away or interpolated; a p99 of fewer than a hundred samples is therefore their maximum.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEPT = 1 << 20  # samples: 8 MB, 9.7 hours at 30 frames a second


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """What n samples say, in milliseconds."""

    n: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float

    def line(self) -> str:
        """Return the percentiles and their n in one line."""
        return (
            f"p50 {self.p50_ms:.2f} ms  p90 {self.p90_ms:.2f} ms  p99 {self.p99_ms:.2f} ms  "
            f"max {self.max_ms:.2f} ms  n {self.n}"
        )


def summarize(seconds: Sequence[float] | NDArray[np.float64]) -> Percentiles:
    """Summarize one or more durations in seconds by their nearest-rank percentiles."""
    ordered = np.sort(np.asarray(seconds, np.float64)) * 1e3
    n = ordered.size
    if not n:
        raise ValueError("no samples")

    def rank(percent: int) -> float:
        return float(ordered[-(-percent * n // 100) - 1])  # the ceiling of percent/100 n, from 1

    return Percentiles(
        n=n,
        p50_ms=rank(50),
        p90_ms=rank(90),
        p99_ms=rank(99),
        max_ms=float(ordered[-1]),
        mean_ms=float(ordered.mean()),
    )


class Latencies:
    """The newest samples of an endless stream, in memory that does not grow."""

    def __init__(self, kept: int = KEPT) -> None:
        self._seconds = np.zeros(kept)
        self.count = 0
        """Samples ever added; the summary covers the newest of them."""

    def add(self, seconds: float) -> None:
        self._seconds[self.count % self._seconds.size] = seconds
        self.count += 1

    def summary(self) -> Percentiles:
        return summarize(self._seconds[: self.count])
