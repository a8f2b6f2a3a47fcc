"""The command `benchmark`: the latency of a model or an engine on this machine.

Timed: `backend.run()`, from the frame in the slot to the mask in the slot, including resize,
normalization, network, score and mask. Not timed: writing the next frame into the slot and drawing.
Each iteration ends before the next one starts.

Back to back shows the device at its best. On a line, frames are triggered and clocks idle down in
between; `--pace` shows what that costs. The report includes the clocks where they can be read,
sampled from the first warm-up iteration on.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

from edgeseg.bench.conditions import Conditions, conditions
from edgeseg.bench.timing import time_iterations
from edgeseg.config import BenchConfig
from edgeseg.data.frames import FrameSet
from edgeseg.log import log
from edgeseg.machine.clocks import ClockReport, Watch
from edgeseg.machine.facts import this_machine
from edgeseg.runtime.base import Backend
from edgeseg.stream.pipeline.latency import Percentiles, summarize
from edgeseg.stream.pipeline.pace import Pace

LONG = 60.0  # seconds: the duration of a longer benchmark is logged at its start

# DeSTSeg, supplement, Table S4.
PAPER = (
    "for reference only: the DeSTSeg paper reports 9.4 ms per image in PyTorch on a Tesla V100, "
    "another machine and runtime, without percentiles"
)


@dataclass(frozen=True, kw_only=True)
class BenchReport(Conditions):
    """The latency of one inference, with the conditions of the measurement."""

    latency: Percentiles
    throughput_fps: float
    """Frames per second of wall-clock time, including writing the frames into the slot."""
    mode: str
    """saturated: back to back; paced: one iteration per period."""
    period_s: float | None
    """From the start of one iteration to the next; None if saturated."""
    missed_starts: int
    """Starts that passed while an iteration was running."""
    keep_warm_iterations: int | None
    """Untimed iterations in the idle time; None without `--keep-warm`."""
    clocks: ClockReport
    """Clocks, temperatures and throttling, where the machine reports them."""

    def summary(self) -> str:
        return "\n".join(
            [
                *self.lines(),
                f"timed       frame in the slot to mask in the slot, after {self.warmup} warm-up "
                "iterations",
                f"mode        {self._mode()}",
                f"latency     {self.latency.line()}  mean {self.latency.mean_ms:.2f} ms",
                f"throughput  {self.throughput_fps:.1f} frames/s, including writing frames into "
                f"the slot{', at this pace' if self.period_s else ''}",
                *self.clocks.lines(),
                PAPER,
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as one JSON object with the latency at its top level."""
        document = dataclasses.asdict(self)
        latency: dict[str, Any] = document.pop("latency")
        return latency | document

    def _mode(self) -> str:
        if self.period_s is None:
            return f"{self.mode}: back to back"
        period = f"{self.period_s:g} s" if self.period_s >= 1 else f"{self.period_s * 1e3:.4g} ms"
        starts = self.latency.n + self.missed_starts
        idle = "idle in between"
        if self.keep_warm_iterations is not None:
            idle = f"{self.keep_warm_iterations} keep-warm iterations in between"
        return (
            f"{self.mode}: one iteration per {period}, {idle}; "
            f"{self.missed_starts} of {starts} starts missed"
        )


def benchmark(backend: Backend, frames: FrameSet, config: BenchConfig) -> BenchReport:
    """Time inferences, one at a time."""
    slot = backend.new_slot()
    backend.bind(slot)
    period = config.period()
    pace = None if period is None else Pace(period)
    duration = min((period or 0.0) * (config.iterations - 1), config.seconds or float("inf"))
    if duration > LONG:
        log.info(
            f"{config.iterations} iterations at this pace take {duration / 60:.0f} min "
            "(fewer with --iterations)"
        )
    with Watch(bus_id=this_machine(config.device).gpu_bus_id) as watch:
        timing = time_iterations(
            backend.run,
            partial(frames.fill, slot),
            warmup=config.warmup,
            iterations=config.iterations,
            seconds=config.seconds,
            pace=pace,
            keep_warm=config.keep_warm,
        )
    return BenchReport(
        **conditions(backend, frames, config),
        latency=summarize(timing.seconds),
        throughput_fps=len(timing.seconds) * len(slot.frame) / timing.wall,
        mode="paced" if pace else "saturated",
        period_s=period,
        missed_starts=pace.missed if pace else 0,
        keep_warm_iterations=pace.filled if pace and config.keep_warm else None,
        clocks=watch.report(),
    )
