"""Clocks, temperatures, power mode and throttling during a measurement.

    with Watch() as watch:
        ...                            # the measured work
    watch.report().lines()             # no lines if the machine reports nothing

Measured latency is worse than the device's for two reasons: clocks drop between frames, or heat,
the power supply or a container's CPU quota throttles the device. The clocks show the first, the
reasons and counters the second.
"""

import statistics
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeseg.machine.state import DeviceState, StateReader
from edgeseg.text import counted

EVERY = 1.0  # seconds between samples
SHARE = 100  # the pause after a sample, in multiples of its duration: at most 1 % of a core
KEPT = 1 << 16  # samples: 18 hours
REASONS = "throttling reasons of the GPU driver or the kernel"
LOW = 0.95  # of the maximum; a lower clock is idle or throttled


@dataclass(frozen=True)
class Clock:
    """One clock over some samples, in MHz."""

    min_mhz: float
    median_mhz: float
    max_mhz: float
    limit_mhz: float | None
    """The upper limit."""
    low_share: float | None
    """Share of the samples below 95 % of the limit, 0 to 1."""

    def line(self, samples: int) -> str:
        """Return the clock as text."""
        clocks = f"{self.min_mhz:.0f} / {self.median_mhz:.0f} / {self.max_mhz:.0f} MHz"
        line = f"{clocks} (min / median / max, n {samples})"
        if self.limit_mhz is None or self.low_share is None:
            return line
        return f"{line} of {self.limit_mhz:.0f}; {self.low_share:.0%} of n below {LOW:.0%} of it"


@dataclass(frozen=True, kw_only=True)
class ClockReport:
    """A summary of the samples; None or empty where the machine reports nothing."""

    samples: int
    power_mode: str | None
    cpu_governor: str | None
    gpu: Clock | None
    cpu: Clock | None
    gpu_performance_states: tuple[str, ...]
    gpu_watts_max: float | None
    hottest: str | None
    """The sensor with the highest temperature."""
    hottest_c: float | None
    throttling: tuple[str, ...]
    """Reasons in any sample."""
    throttling_events: Mapping[str, int]
    """Throttling counters that increased, and by how much."""
    throttled: bool | None
    """None if the machine does not report throttling."""
    throttling_sources: tuple[str, ...]
    """Where throttling was looked for."""

    def lines(self) -> list[str]:
        """Return the report as text, without lines for missing values."""
        lines = []
        if self.power_mode:
            lines.append(f"power mode  {self.power_mode}")
        if self.gpu:
            cause = "idle" if self.throttled is False else "idle or throttled"
            parts = [self.gpu.line(self.samples), *([cause] if self.gpu.low_share else [])]
            parts += self.gpu_performance_states
            if self.gpu_watts_max is not None:
                parts.append(f"max {self.gpu_watts_max:.0f} W")
            lines.append(f"GPU clock   {', '.join(parts)}")
        if self.cpu:
            governor = f", governor {self.cpu_governor}" if self.cpu_governor else ""
            lines.append(f"CPU clock   fastest core {self.cpu.line(self.samples)}{governor}")
        if self.hottest_c is not None:
            lines.append(f"hottest     {self.hottest_c:.0f} °C, {self.hottest}")
        if self.throttled:
            events = self.throttling_events.items()
            counts = [f"{name}, {counted(n, 'time')}" for name, n in events]
            lines.append(f"THROTTLED   {'; '.join([*self.throttling, *counts])}")
        elif self.throttled is False:
            lines.append(f"throttled   no ({', '.join(self.throttling_sources)})")
        return lines


class Watch:
    """Samples the state on entry, every second on a daemon thread, and on exit.

    A sample takes 1 ms (8 ms with 64 CPUs); sampling takes at most 1 % of a core. The reported
    clocks omit the first sample, which precedes the work. bus_id: of the GPU; None: NVML's first.
    """

    def __init__(
        self, root: Path = Path("/"), every: float = EVERY, *, bus_id: str | None = None
    ) -> None:
        self._root, self._every, self._bus_id = root, every, bus_id
        self._tally = Tally()
        self._over = threading.Event()

    def __enter__(self) -> "Watch":
        self._reader = StateReader(self._root, self._bus_id)
        self._tally.add(self._reader.read())
        self._thread = threading.Thread(target=self._sample, name="clocks", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()
        self._tally.add(self._reader.read())
        self._reader.close()

    def report(self) -> ClockReport:
        """Summarize the samples so far; inside the block or after it."""
        return self._tally.report()

    def _sample(self) -> None:
        wait = self._every
        while not self._over.wait(wait):
            begin = time.perf_counter()
            self._tally.add(self._reader.read())
            wait = max(self._every, SHARE * (time.perf_counter() - begin))


class Tally:
    """Statistics over states in bounded memory: the newest clocks, and all throttling."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: list[DeviceState] = []  # the first and the last
        self._samples = 0
        self._gpu: deque[tuple[float | None, float | None]] = deque(maxlen=KEPT)
        self._cpu: deque[tuple[float | None, float | None]] = deque(maxlen=KEPT)
        self._modes: dict[str, None] = {}  # ordered sets
        self._performance_states: dict[str, None] = {}
        self._throttling: dict[str, None] = {}
        self._reasons_known = False
        self._watts: float | None = None
        self._peaks_c: dict[str, float] = {}

    def add(self, state: DeviceState) -> None:
        """Add one state; the first sets the counters' start and contributes no clock."""
        with self._lock:
            self._states = [*self._states[:1], state]
            self._modes |= _word(state.power_mode)
            self._throttling |= dict.fromkeys(state.throttling or ())
            self._reasons_known |= state.throttling is not None
            if len(self._states) == 1:
                return
            self._samples += 1
            self._gpu.append((state.gpu.mhz, state.gpu.max_mhz))
            self._cpu.append((state.cpu_mhz, state.cpu_max_mhz))
            self._performance_states |= _word(state.gpu.performance_state)
            if state.gpu.watts is not None:
                self._watts = max(state.gpu.watts, self._watts or 0.0)
            for name, celsius in state.temperatures_c.items():
                self._peaks_c[name] = max(celsius, self._peaks_c.get(name, celsius))

    def report(self) -> ClockReport:
        """Summarize one or more states."""
        with self._lock:
            first, last = self._states[0], self._states[-1]
            hottest = max(self._peaks_c, key=self._peaks_c.__getitem__, default=None)
            events = {
                name: count - first.counters[name]
                for name, count in last.counters.items()
                if count > first.counters.get(name, count)
            }
            sources = (*([REASONS] if self._reasons_known else []), *last.counters)
            return ClockReport(
                samples=self._samples,
                power_mode=", then ".join(self._modes) or None,
                cpu_governor=last.cpu_governor,
                gpu=_clock(self._gpu),
                cpu=_clock(self._cpu),
                gpu_performance_states=tuple(self._performance_states),
                gpu_watts_max=self._watts,
                hottest=hottest,
                hottest_c=None if hottest is None else self._peaks_c[hottest],
                throttling=tuple(self._throttling),
                throttling_events=events,
                throttled=bool(self._throttling or events) if sources else None,
                throttling_sources=sources,
            )


def _clock(pairs: Iterable[tuple[float | None, float | None]]) -> Clock | None:
    clocks = [mhz for mhz, _ in pairs if mhz is not None]
    if not clocks:
        return None
    limit = max((limit for _, limit in pairs if limit), default=None)
    low = None if limit is None else sum(mhz < LOW * limit for mhz in clocks) / len(clocks)
    return Clock(min(clocks), statistics.median(clocks), max(clocks), limit, low)


def _word(word: str | None) -> dict[str, None]:
    return {word: None} if word else {}
