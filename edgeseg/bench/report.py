"""A benchmark's result, with all that a figure needs to be believed beside it."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from edgeseg.bench.circumstances import Circumstances
from edgeseg.bench.timing import Percentiles
from edgeseg.machine.clocks import ClockReport

# DeSTSeg, supplement, Table S4.
PAPER = (
    "for orientation, DeSTSeg's paper: 9.4 ms an image in PyTorch on a Tesla V100 "
    "(supplement, Table S4);\nanother machine and runtime, and no percentile is given: not to be "
    "compared"
)


@dataclass(frozen=True, kw_only=True)
class BenchReport(Circumstances):
    """How long a run took, on what, with what."""

    latency: Percentiles
    throughput_fps: float
    """Frames per second of wall clock, writing the frames into the slot included."""
    mode: str
    """saturated: back to back; paced: one per period."""
    period_s: float | None
    """From one run's beginning to the next; None when saturated."""
    missed_slots: int
    """Slots of time that passed while a run still ran."""
    warm_runs: int | None
    """Dummy runs in the idle time; None without --keep-warm."""
    clocks: ClockReport
    """What the device did meanwhile, as far as it shows that."""

    def summary(self) -> str:
        """Return the report as text."""
        batch, height, width, channels = self.frame_shape
        return "\n".join(
            [
                *self.lines(),
                f"frames      {self.frames}; {batch} a run, {width}x{height}, "
                f"{channels} channel{'s' if channels > 1 else ''}",
                f"timed       frame bytes in the slot to mask bytes in the slot, after "
                f"{self.warmup} runs of warm-up",
                f"mode        {self._pace()}",
                f"one run     {self.latency.line()}  mean {self.latency.mean_ms:.2f} ms",
                f"throughput  {self.throughput_fps:.1f} frames/s, writing frames into the slot "
                f"included{'; the pace sets it' if self.period_s else ''}",
                *self.clocks.lines(),
                PAPER,
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as one flat JSON object."""
        document = dataclasses.asdict(self)
        latency: dict[str, Any] = document.pop("latency")
        return latency | document | {"clocks": self.clocks.to_json()}

    def _pace(self) -> str:
        if self.period_s is None:
            return f"{self.mode}: each run begins when the one before has ended"
        period = f"{self.period_s:g} s" if self.period_s >= 1 else f"{self.period_s * 1e3:.4g} ms"
        slots = self.latency.n + self.missed_slots
        idle = "idle between"
        if self.warm_runs is not None:
            idle = f"{self.warm_runs} dummy runs between, to keep the clocks awake"
        return (
            f"{self.mode}: a run each {period}, {idle}; {self.missed_slots} of {slots} slots missed"
        )
