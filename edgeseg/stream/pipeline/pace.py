"""The beat of a line: a run begins at each slot of time, and a slot that passes is missed.

    pace = Pace(1 / 30)
    while True:
        pace.wait()
        run()

Like a trigger, a slot does not wait: what takes longer than a period misses the slots that pass
meanwhile, and goes on at the next one. Nothing is made up for. Between slots the thread sleeps, and
does not spin, or the clocks of the processor would never fall asleep as they do on a line.
"""

import time
from collections.abc import Callable

WARM_EVERY_NS = 50_000_000  # between two fillings of an idle time


class Pace:
    """Slots `period` seconds apart; the first begins with the first `wait`."""

    def __init__(self, period: float, sleep: Callable[[float], object] | None = None) -> None:
        """sleep: instead of time.sleep; an exception of it ends a wait."""
        self._sleep = sleep or time.sleep
        self._period = max(round(period * 1e9), 1)
        self._start: int | None = None
        self._slot = 0
        self._filling = 0
        self.missed = 0
        """Slots that passed while something ran."""
        self.filled = 0
        """Calls of `fill`."""

    @property
    def next_ns(self) -> int:
        """When the next slot begins, in nanoseconds of `time.perf_counter_ns`."""
        now = time.perf_counter_ns()
        return now if self._start is None else self._due(self._next(now))

    def wait(self, fill: Callable[[], None] | None = None, lasts_ns: int = 0) -> None:
        """Sleep until the next slot begins.

        `fill` is called about each 50 ms of that time, while it fits in before the slot: it is
        taken to last as long as its longest call until now, and `lasts_ns` before the first.
        """
        now = time.perf_counter_ns()
        if self._start is None:
            self._start = now
            return
        slot = self._next(now)
        self.missed += slot - self._slot - 1
        self._slot = slot
        due = self._due(slot)
        if fill is not None:
            self._fill(fill, due, lasts_ns)
        while (left := due - time.perf_counter_ns()) > 0:
            self._sleep(left / 1e9)

    def _fill(self, fill: Callable[[], None], due: int, lasts_ns: int) -> None:
        self._filling = max(self._filling, lasts_ns)
        while time.perf_counter_ns() + WARM_EVERY_NS + self._filling < due:
            self._sleep(WARM_EVERY_NS / 1e9)
            begin = time.perf_counter_ns()
            fill()
            self._filling = max(self._filling, time.perf_counter_ns() - begin)
            self.filled += 1

    def _next(self, now: int) -> int:
        """Return the first slot after the last one that has not begun yet."""
        assert self._start is not None
        return max(-(-(now - self._start) // self._period), self._slot + 1)

    def _due(self, slot: int) -> int:
        assert self._start is not None
        return self._start + slot * self._period
