"""Which frames of a live source are worth decoding, and how long that takes.

A camera may send many frames while inference computes one. Decoding them all costs time of the
cores that inference needs, and all but the newest are dropped. So a frame is passed over if the
next one will come, and be decoded, before inference takes one.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GAPS = 4  # between frames; the longest counts
MARGIN, MARGIN_SECONDS = 1.25, 0.002  # of the time to decode
LEAST = 0.002  # seconds; what is faster is decoded always


class Decoding:
    """Told when frames come and when inference needs one."""

    def __init__(self) -> None:
        self.needed: Callable[[], float] = float
        """Returns the seconds until inference takes its next frame; 0 if that is unknown."""
        self._gaps: deque[float] = deque(maxlen=GAPS)
        self._last = 0
        self._work = 0.0

    def passes_over(self, arrival: int) -> bool:
        """Whether not to decode a frame that arrived at `arrival`, in nanoseconds."""
        if self._last:
            self._gaps.append((arrival - self._last) / 1e9)
        self._last = arrival
        if len(self._gaps) < GAPS or self._work < LEAST:
            return False
        return self.needed() > max(self._gaps) + MARGIN * self._work + MARGIN_SECONDS

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Time the decoding of a frame."""
        begin = time.perf_counter()
        yield
        self._work = time.perf_counter() - begin
