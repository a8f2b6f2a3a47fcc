"""How long a model or an engine takes for one run, on this machine, with the tail.

Timed: `backend.run()`, from the frames' bytes in the slot to the masks' bytes in the slot: resize,
normalization, network, score and mask. Not timed: writing the next frame into the slot, which a
camera does, and drawing. Each run is waited for before the next one starts.

Back to back is the device at its best. A line triggers, and between triggers clocks fall asleep: a
pace (`--pace`) shows what that costs. The report has the clocks where they can be
read, sampled from the first run of the warm-up on.
"""

from functools import partial

from edgeseg.bench.circumstances import circumstances
from edgeseg.bench.frames import Frames
from edgeseg.bench.report import BenchReport
from edgeseg.bench.timing import summarize, time_runs
from edgeseg.config import BenchConfig
from edgeseg.log import log
from edgeseg.machine.clocks import Watch
from edgeseg.runtime.base import Backend
from edgeseg.stream.pipeline.pace import Pace

LONG = 60.0  # seconds: a benchmark that lasts longer says so first


def benchmark(backend: Backend, frames: Frames, config: BenchConfig) -> BenchReport:
    """Run frames through a backend, one run at a time, and report every run's time."""
    slot = backend.new_slot()
    backend.bind(slot)
    period = config.period()
    pace = None if period is None else Pace(period)
    lasts = min((period or 0.0) * (config.iterations - 1), config.seconds or float("inf"))
    if lasts > LONG:
        log.info(
            f"{config.iterations} iterations at this pace take {lasts / 60:.0f} min; "
            "--iterations sets their number"
        )
    with Watch() as watch:
        timing = time_runs(
            backend.run,
            partial(frames.fill, slot),
            warmup=config.warmup,
            runs=config.iterations,
            seconds=config.seconds,
            pace=pace,
            keep_warm=config.keep_warm,
        )
    return BenchReport(
        **circumstances(backend, frames, config),
        latency=summarize(timing.seconds),
        throughput_fps=len(timing.seconds) * len(slot.frame) / timing.wall,
        mode="saturated" if not pace else "paced",
        period_s=period,
        missed_slots=pace.missed if pace else 0,
        warm_runs=pace.filled if pace and config.keep_warm else None,
        clocks=watch.report(),
    )
