"""Latencies as percentiles, in total and for each stage of a frame.

    arrival --- wait --> start --- submit --> submitted --> done --- sinks --> written
       |                   |                                 |
       |                   +------------- run ---------------+
       +------------------- arrival to mask -----------------+

wait         from arrival to the start of inference; includes the decoding of USB and MJPEG frames
run          from the start to the mask in host memory; with two in flight, includes the wait for
             the other frame
submit       the part of run before the runtime has accepted the frame; includes a resize on the CPU
device       time on the device's own clock, where the runtime reports it
sinks        from the mask until every sink has processed the result; delays no frame

Arrival to mask is the age of a frame when its mask is ready. Exposure, sensor readout, the camera
and its cable come before the arrival and are not measured.

Percentiles are nearest-rank: each is a real sample, nothing is clipped or interpolated. The p99 of
fewer than a hundred samples is therefore their maximum.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.stream.source.base import Frame

CAPACITY = 1 << 19  # samples: 2 MB, 4.8 hours at 30 frames/s


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """Percentiles of n samples, in milliseconds."""

    n: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    """The 99.9th percentile."""
    max_ms: float
    mean_ms: float

    def line(self) -> str:
        """Return the percentiles as one line of text."""
        return (
            f"p50 {self.p50_ms:.2f} ms  p90 {self.p90_ms:.2f} ms  p99 {self.p99_ms:.2f} ms  "
            f"p99.9 {self.p999_ms:.2f} ms  max {self.max_ms:.2f} ms  n {self.n}"
        )


def summarize(seconds: Sequence[float] | NDArray[np.floating[Any]]) -> Percentiles:
    """Return the nearest-rank percentiles of one or more durations in seconds."""
    ordered = np.sort(np.asarray(seconds, np.float64)) * 1e3
    n = ordered.size
    if not n:
        raise ValueError("no samples")

    def rank(thousandths: int) -> float:
        return float(ordered[-(-thousandths * n // 1000) - 1])  # rounded up

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
    """The newest samples of an endless stream, in a fixed amount of memory."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        # float32 resolves 60 ns in a second. np.full and not np.zeros: the pages of zeros are
        # allocated at the first write, and the stream would appear to leak memory.
        self._seconds = np.full(capacity, np.nan, np.float32)
        self.count = 0
        """Samples added; the summary covers the newest of them."""

    def add(self, seconds: float) -> None:
        self._seconds[self.count % self._seconds.size] = seconds
        self.count += 1

    def summary(self) -> Percentiles:
        return summarize(self._seconds[: self.count])


class Stages:
    """Latencies of all stages; `add` is called by inference, `add_sinks` by the main thread."""

    def __init__(self) -> None:
        self._total = Latencies()
        self._stages = {name: Latencies() for name in ("wait", "run", "submit", "device", "sinks")}

    @property
    def count(self) -> int:
        """Frames that have their mask."""
        return self._total.count

    def add(self, frame: Frame, *, submitted: bool, device: float | None) -> float:
        """Add a finished frame; return its seconds from arrival to mask.

        submitted: whether the submission was measured; device: seconds, None if unavailable.
        """
        seconds = (frame.done - frame.arrival) / 1e9
        self._stages["wait"].add((frame.started - frame.arrival) / 1e9)
        self._stages["run"].add((frame.done - frame.started) / 1e9)
        if submitted:
            self._stages["submit"].add((frame.submitted - frame.started) / 1e9)
        if device is not None:
            self._stages["device"].add(device)
        self._total.add(seconds)
        return seconds

    def add_sinks(self, seconds: float) -> None:
        """Add the time from a mask until the sinks had processed the result."""
        self._stages["sinks"].add(seconds)

    def total(self) -> Percentiles | None:
        """Return arrival to mask; None before the first frame."""
        return self._total.summary() if self._total.count else None

    def summaries(self) -> dict[str, Percentiles]:
        """Return the stages that have samples, by name."""
        return {name: stage.summary() for name, stage in self._stages.items() if stage.count}
