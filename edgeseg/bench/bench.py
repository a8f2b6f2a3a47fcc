"""How long a model or an engine takes for one run, on this machine, with the tail.

Timed: `backend.run()`, from the frames' bytes in the slot to the masks' bytes in the slot: resize,
normalization, network, score and mask. Not timed: writing the next frame into the slot, which a
camera does, and drawing. Each run is waited for before the next one starts.

Back to back is the device at its best. A line triggers, and between triggers clocks fall asleep: a
pace (`--fps`, `--interval`) shows what that costs. The report has the clocks where they can be
read, sampled from the first run of the warm-up on.
"""

import platform
from collections.abc import Callable

import numpy as np

from edgeseg.bench.frames import Frames
from edgeseg.bench.report import BenchReport
from edgeseg.bench.timing import summarize, time_runs
from edgeseg.config import BenchConfig
from edgeseg.extras import installed
from edgeseg.runtime.base import Backend
from edgeseg.runtime.clocks import Watch
from edgeseg.runtime.machine import this_machine
from edgeseg.stream.pace import Pace

PACKAGES = ("edgeseg", "numpy", "torch", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx")


LONG = 60.0  # seconds: a benchmark that lasts longer says so first


def benchmark(
    backend: Backend,
    frames: Frames,
    config: BenchConfig,
    say: Callable[[str], None] = lambda line: None,
) -> BenchReport:
    """Run frames through a backend, one run at a time, and report every run's time."""
    card = backend.card
    slot = backend.new_slot()
    backend.bind(slot)
    batch, count = card.frame_shape[0], len(frames.pixels)

    def prepare(i: int) -> None:
        for n in range(batch):
            np.copyto(slot.frame[n], frames.pixels[(i * batch + n) % count])

    period = config.period()
    pace = None if period is None else Pace(period)
    lasts = min((period or 0.0) * (config.runs - 1), config.seconds or float("inf"))
    if lasts > LONG:
        say(f"{config.runs} runs at this pace take {lasts / 60:.0f} min; --runs N for fewer")
    with Watch() as watch:
        timing = time_runs(
            backend.run,
            prepare,
            warmup=config.warmup,
            runs=config.runs,
            seconds=config.seconds,
            pace=pace,
            keep_warm=config.keep_warm,
        )
    return BenchReport(
        latency=summarize(timing.seconds),
        throughput_fps=len(timing.seconds) * batch / timing.wall,
        machine=this_machine().line(),
        engine=backend.name,
        model=card.name,
        frames=frames.origin,
        frame_shape=card.frame_shape,
        image_size=card.image_size,
        warmup=config.warmup,
        threads=config.threads,
        mode="saturated" if not pace else "triggered" if config.interval else "paced",
        period_s=period,
        missed_slots=pace.missed if pace else 0,
        warm_runs=pace.filled if pace and config.keep_warm else None,
        clocks=watch.report(),
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Return the versions of what may have had a part in the figures."""
    found = {name: installed(name) for name in PACKAGES}
    return {"python": platform.python_version()} | {k: v for k, v in found.items() if v}
