"""What the device did while latency was measured: clocks, temperatures, power mode, throttling.

    with Watch() as watch:
        ...                            # runs
    watch.report().lines()             # nothing where nothing can be read

Two things make a figure worse than its device: clocks that sleep between runs, and a device that is
held down by heat, by its power supply, or by the CPU quota of its container. The first shows in the
clock, the second in reasons and counters. What a machine does not show is absent, never guessed.
"""

import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgeseg.runtime import nvml, sysfs

T = TypeVar("T")

EVERY = 1.0  # seconds between samples
SHARE = 100  # a sample is followed by at least this many times its own duration: 1 % of a core
LOW = 0.95  # of the maximum: a clock below it sleeps or is held down


@dataclass(frozen=True, kw_only=True)
class DeviceState:
    """The machine at one moment; None, or nothing, is what it does not show."""

    power_mode: str | None = None
    """Of a Jetson: `15W (mode 0)`."""
    cpu_governor: str | None = None
    cpu_mhz: float | None = None
    """Of the fastest core."""
    cpu_max_mhz: float | None = None
    gpu_mhz: float | None = None
    gpu_min_mhz: float | None = None
    """The lowest clock its governor may set: the maximum itself where clocks are locked."""
    gpu_max_mhz: float | None = None
    """The highest clock that the power mode allows."""
    gpu_watts: float | None = None
    gpu_performance_state: str | None = None
    """P0, the fastest, to P15."""
    temperatures_c: Mapping[str, float]
    throttling: tuple[str, ...] | None = None
    """What holds a clock down at this moment; None where nothing tells."""
    counters: Mapping[str, int]
    """Events that slowed the machine down, since its start or its container's."""


@dataclass(frozen=True)
class Clock:
    """One clock over some samples, in MHz."""

    min_mhz: float
    median_mhz: float
    max_mhz: float
    limit_mhz: float | None
    """The highest that is allowed."""
    low_share: float | None
    """Share of the samples below 95 % of the limit, 0 to 1."""

    def line(self, samples: int) -> str:
        """Return the clock as text."""
        text = f"{self.min_mhz:.0f} / {self.median_mhz:.0f} / {self.max_mhz:.0f} MHz"
        text += f" (min / median / max, n {samples})"
        if self.limit_mhz is None or self.low_share is None:
            return text
        return f"{text} of {self.limit_mhz:.0f}; {self.low_share:.0%} of the time below {LOW:.0%} of it"


@dataclass(frozen=True, kw_only=True)
class ClockReport:
    """What a Watch saw; None, or nothing, is what the machine does not show."""

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
    """Reasons that any sample showed."""
    moved: Mapping[str, int]
    """Counters that moved, and by how much."""
    throttled: bool | None
    """None: nothing on this machine would have told."""

    def lines(self) -> list[str]:
        """Return the report as text; no line for what could not be read."""
        lines = []
        if self.power_mode:
            lines.append(f"power mode  {self.power_mode}")
        if self.gpu:
            states = f", {', '.join(self.gpu_performance_states)}"
            watts = "" if self.gpu_watts_max is None else f", {self.gpu_watts_max:.0f} W at most"
            states = states if self.gpu_performance_states else ""
            lines.append(f"GPU clock   {self.gpu.line(self.samples)}{states}{watts}")
        if self.cpu:
            governor = f", governor {self.cpu_governor}" if self.cpu_governor else ""
            lines.append(f"CPU clock   fastest core {self.cpu.line(self.samples)}{governor}")
        if self.hottest_c is not None:
            lines.append(f"hottest     {self.hottest_c:.0f} °C, {self.hottest}")
        if self.throttled:
            lines.append(f"THROTTLED   {'; '.join(self.causes())}: slower than the device can be")
        elif self.throttled is False:
            lines.append("throttled   no, by what this machine shows")
        return lines

    def causes(self) -> Iterator[str]:
        """Yield what held the device down."""
        yield from self.throttling
        for name, count in self.moved.items():
            yield f"{name}, {count} {'time' if count == 1 else 'times'}"

    def to_json(self) -> dict[str, Any]:
        """Return what could be read; `throttled` is there always."""
        found = {k: v for k, v in asdict(self).items() if v not in (None, (), {})}
        return found | {"throttled": self.throttled}


def read_state(root: Path = Path("/")) -> DeviceState:
    """Read the machine once; only tests name another root."""
    reader = _Reader(root)
    try:
        return reader.read()
    finally:
        reader.close()


class Watch:
    """Reads the state when it is entered, each second, and when it is left, on a daemon thread.

    The clocks of the report leave the first sample out: it was taken before the work began.
    """

    def __init__(self, root: Path = Path("/"), every: float = EVERY) -> None:
        self._root, self._every = root, every
        self._states: list[DeviceState] = []
        self._over = threading.Event()

    def __enter__(self) -> "Watch":
        self._reader = _Reader(self._root)
        self._states.append(self._reader.read())
        self._thread = threading.Thread(target=self._sample, name="clocks", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()
        self._states.append(self._reader.read())
        self._reader.close()

    def report(self) -> ClockReport:
        """Sum up what was seen until now; inside the block and after it."""
        return summarize(tuple(self._states))

    def _sample(self) -> None:
        wait = self._every
        while not self._over.wait(wait):
            begin = time.perf_counter()
            self._states.append(self._reader.read())
            wait = max(self._every, SHARE * (time.perf_counter() - begin))


def summarize(states: Sequence[DeviceState]) -> ClockReport:
    """Sum up one or more states; of several, the first gives the counters' start alone."""
    first, last = states[0], states[-1]
    during = states[1:] or states
    hot = [(c, name) for s in during for name, c in s.temperatures_c.items()]
    hottest_c, hottest = max(hot, default=(None, None))
    reasons = [s.throttling for s in states if s.throttling is not None]
    throttling = _distinct(word for words in reasons for word in words)
    moved = {
        name: count - first.counters[name]
        for name, count in last.counters.items()
        if name in first.counters and count > first.counters[name]
    }
    known = bool(reasons or last.counters)
    return ClockReport(
        samples=len(during),
        power_mode=", then ".join(_distinct(s.power_mode for s in states)) or None,
        cpu_governor=last.cpu_governor,
        gpu=_clock([(s.gpu_mhz, s.gpu_max_mhz) for s in during]),
        cpu=_clock([(s.cpu_mhz, s.cpu_max_mhz) for s in during]),
        gpu_performance_states=_distinct(s.gpu_performance_state for s in during),
        gpu_watts_max=max((s.gpu_watts for s in during if s.gpu_watts is not None), default=None),
        hottest=hottest,
        hottest_c=hottest_c,
        throttling=throttling,
        moved=moved,
        throttled=bool(throttling or moved) if known else None,
    )


def _clock(pairs: Sequence[tuple[float | None, float | None]]) -> Clock | None:
    clocks = [mhz for mhz, _ in pairs if mhz is not None]
    if not clocks:
        return None
    limits = [limit for _, limit in pairs if limit]
    limit = max(limits, default=None)
    low = None if limit is None else sum(mhz < LOW * limit for mhz in clocks) / len(clocks)
    return Clock(min(clocks), statistics.median(clocks), max(clocks), limit, low)


def _distinct(words: "Iterator[T | None]") -> tuple[T, ...]:
    return tuple(dict.fromkeys(word for word in words if word))


class _Reader:
    """The kernel's files, and the driver where no GPU of a board is in them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._monitor: nvml.Monitor | None = None
        if sysfs.board_gpu(root) is None:
            try:
                self._monitor = nvml.Monitor()
            except (OSError, nvml.NvmlError):
                return  # the machine's facts and the doctor speak of a driver that fails

    def read(self) -> DeviceState:
        root = self._root
        cpu, board = sysfs.cpu(root), sysfs.board_gpu(root)
        gpu = self._monitor.read() if self._monitor else None
        temperatures = sysfs.temperatures(root)
        if gpu and gpu.temperature_c is not None:
            temperatures["GPU"] = gpu.temperature_c
        reasons = [r for r in (gpu and gpu.throttling, sysfs.cooling(root)) if r is not None]
        return DeviceState(
            power_mode=sysfs.power_mode(root),
            cpu_governor=sysfs.governor(root),
            cpu_mhz=cpu.now if cpu else None,
            cpu_max_mhz=cpu.high if cpu else None,
            gpu_mhz=board.now if board else gpu.mhz if gpu else None,
            gpu_min_mhz=board.low if board else None,
            gpu_max_mhz=board.high if board else gpu.max_mhz if gpu else None,
            gpu_watts=gpu.watts if gpu else None,
            gpu_performance_state=gpu.performance_state if gpu else None,
            temperatures_c=temperatures,
            throttling=sum(reasons, ()) if reasons else None,
            counters=sysfs.counters(root),
        )

    def close(self) -> None:
        if self._monitor:
            self._monitor.close()
