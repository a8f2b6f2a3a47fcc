"""Periodic starts, as on a line: `Pace` waits for them, `Trigger` selects frames by them.

    pace = Pace(1 / 30)
    while True:
        pace.wait()
        run()

Work that takes longer than a period misses the starts that pass meanwhile and continues at the next
one; nothing is caught up. `Pace` sleeps and does not spin, so that the processor's clocks idle down
as they do on a line.
"""

import time
from collections.abc import Callable
from typing import Protocol

from edgeseg.stream.source.base import Frame

KEEP_WARM_NS = 50_000_000  # between two keep-warm iterations


class Pace:
    """Starts `period` seconds apart, the first one at the first `wait`."""

    def __init__(self, period: float, sleep: Callable[[float], object] | None = None) -> None:
        """sleep: replaces time.sleep; its exceptions end a wait."""
        self._sleep = sleep or time.sleep
        self._period = max(round(period * 1e9), 1)
        self._start: int | None = None
        self._count = 0
        self._longest_fill = 0
        self.missed = 0
        """Starts that passed while work was running."""
        self.filled = 0
        """Calls of `fill`."""

    @property
    def next_ns(self) -> int:
        """The next start, in nanoseconds of `time.perf_counter_ns`."""
        now = time.perf_counter_ns()
        return now if self._start is None else self._start + self._next(now) * self._period

    def wait(self, fill: Callable[[], None] | None = None, lasts_ns: int = 0) -> None:
        """Sleep until the next start.

        `fill` is called about every 50 ms as long as it can end before the start: it is assumed to
        take as long as its longest call so far, initially `lasts_ns`.
        """
        now = time.perf_counter_ns()
        if self._start is None:
            self._start = now
            return
        count = self._next(now)
        self.missed += count - self._count - 1
        self._count = count
        due = self._start + count * self._period
        if fill is not None:
            self._fill(fill, due, lasts_ns)
        while (left := due - time.perf_counter_ns()) > 0:
            self._sleep(left / 1e9)

    def _fill(self, fill: Callable[[], None], due: int, lasts_ns: int) -> None:
        self._longest_fill = max(self._longest_fill, lasts_ns)
        while time.perf_counter_ns() + KEEP_WARM_NS + self._longest_fill < due:
            self._sleep(KEEP_WARM_NS / 1e9)
            begin = time.perf_counter_ns()
            fill()
            self._longest_fill = max(self._longest_fill, time.perf_counter_ns() - begin)
            self.filled += 1

    def _next(self, now: int) -> int:
        """Return the number of the first start that is neither past nor used."""
        assert self._start is not None
        return max(-(-(now - self._start) // self._period), self._count + 1)


class Gate(Protocol):
    """Selects frames of a camera, one after the other."""

    due: int | None
    """When the next frame is wanted, `time.perf_counter_ns`; None for immediately."""
    dropped: int
    """Frames that were not wanted."""
    missed: int
    """Frames that were wanted and did not come."""

    def takes(self, frame: Frame) -> bool:
        """Whether a frame is selected."""


class Trigger:
    """Selects the first frame at or after each trigger; the first frame sets the first trigger."""

    def __init__(self, period: float) -> None:
        self._period = max(round(period * 1e9), 1)
        self.due: int | None = None
        self.dropped = self.missed = 0

    def takes(self, frame: Frame) -> bool:
        """Whether a frame is selected, by its arrival."""
        arrival = frame.arrival
        if self.due is None:
            self.due = arrival
        if arrival < self.due:
            self.dropped += 1
            return False
        periods = (arrival - self.due) // self._period
        self.missed += periods
        self.due += (periods + 1) * self._period
        return True
