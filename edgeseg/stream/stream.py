"""Frames in, masks out, until the source, the user or a limit ends it.

    capture thread     source -> slot        ring.py, capture.py: the newest frame wins
    inference thread   slot -> mask          lanes.py, inference.py: nothing is copied or made anew
    main thread        mask -> sinks         outlet.py: they take copies, and delay nobody

Arrival-to-mask is the time from a frame's arrival to its mask in memory (`stages.py`). A camera's
frame arrives when the driver hands it over, before it is decoded. A file's frame has no arrival:
its clock starts when the loop takes it, or with --fps at the beat.

Ctrl-C, SIGTERM, a limit, the end of the source, its death and a failing sink end a stream alike:
no further frame is taken, those in flight are finished, every sink gets what there is, the threads
are joined, and then the caller closes sinks, source and backend. A camera's driver may hang in a
read for good. It is not waited for, and the slots, into which it may still write, outlive the
backend.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack

from edgeseg.config import StreamConfig
from edgeseg.cuda.nvtx import marker
from edgeseg.errors import EdgesegError, SourceError
from edgeseg.interrupt import stop_requests
from edgeseg.log import log
from edgeseg.machine.clocks import Watch
from edgeseg.prediction import single_frame
from edgeseg.runtime.base import Backend
from edgeseg.stream.pipeline.capture import Capture
from edgeseg.stream.pipeline.dispatcher import Outlet
from edgeseg.stream.pipeline.in_flight import Lanes, open_lanes
from edgeseg.stream.pipeline.inference import POLL, Inference
from edgeseg.stream.pipeline.ring import Ring, Source
from edgeseg.stream.pipeline.stages import Stages
from edgeseg.stream.report import StreamReport
from edgeseg.stream.sink.sinks import AnySink, open_sinks
from edgeseg.stream.source.mode import Mode
from edgeseg.stream.source.open import open_source

STATUS_EVERY = 5.0  # seconds between lines that say the stream is alive


def stream_from(backend: Backend, config: StreamConfig) -> StreamReport:
    """Open the source and the sinks that `config` names, and stream between them."""
    with ExitStack() as stack:
        _, height, width, _ = single_frame(backend)
        source = open_source(
            config.address(), size=(height, width), attempts=config.reconnects, wish=Mode.of(config)
        )
        stack.enter_context(source)
        stack.enter_context(stop_requests())  # a second signal must not cut the files off
        sinks = open_sinks(config, backend.card, source, stack=stack)
        return stream(backend, source, sinks, config)


def stream(
    backend: Backend, source: Source, sinks: Sequence[AnySink], config: StreamConfig
) -> StreamReport:
    """Run every frame of `source` through the backend until something ends it.

    The end of the source, a limit, a sink that wants no more, SIGINT and SIGTERM end it with a
    report. SourceError: the source failed, or delivered nothing. SinkError: a sink failed, the
    others are complete. Before an error is raised, the report of what was done is logged.
    The caller closes source and sinks, which completes their files.
    """
    single_frame(backend)
    with stop_requests() as stop, open_lanes(backend, config) as lanes:
        run = _Run(backend, lanes, source, sinks, config)
        try:
            with run.watch, run.capture, run.inference:
                while run.outlet.serve(run.inference.stop, timeout=POLL):
                    if stop.requested:
                        run.inference.stop()
                    run.status()
        finally:
            if run.capture.hangs:
                lanes.leave()
                log.info(
                    f"{source.name} does not return from a read: the memory that it may still "
                    "write to is kept until this process ends"
                )
    report = run.report()
    error = run.outlet.error or run.inference.error
    if isinstance(error, EdgesegError):
        log.info(report.summary())
    if error is not None:
        raise error
    if not report.frames and run.ring.over:
        raise SourceError(f"{source.name} delivered no frame.", remedy="name a source with frames")
    return report


class _Run:
    """The parts of one stream, made once, before its first frame."""

    def __init__(
        self,
        backend: Backend,
        lanes: Lanes,
        source: Source,
        sinks: Sequence[AnySink],
        config: StreamConfig,
    ) -> None:
        self._backend, self._source, self._config = backend, source, config
        self._stages = Stages()
        self.watch = Watch()
        self.ring = Ring(lanes.frames(live=source.live), live=source.live)
        mark = marker(on=config.nvtx)
        self.capture = Capture(source, self.ring, every=self._period(), mark=mark)
        threshold = float(lanes.lanes[0].slot.threshold[0])
        self.outlet = Outlet(
            sinks, backend.card, self._stages, live=source.live, threshold=threshold
        )
        self.inference = Inference(
            lanes, self.capture, self.outlet, self._stages, config, backend.card
        )
        self._began = self._said = time.perf_counter()

    def _period(self) -> float | None:
        """Return the seconds between two frames that are taken; None: as they come."""
        config = self._config
        if config.interval is None and config.fps is not None and not self._source.live:
            return 1 / config.fps
        return config.every()

    def status(self) -> None:
        """Say from time to time that the stream is alive."""
        now = time.perf_counter()
        if now - self._said < STATUS_EVERY:
            return
        self._said = now
        frames = self._stages.count
        log.info(
            f"{frames} frames, {frames / (now - self._began):.1f}/s, {self.ring.dropped} dropped, "
            f"{self.inference.anomalous} anomalous"
        )

    def report(self) -> StreamReport:
        """Return what was done."""
        source, inference, frames = self._source, self.inference, self._stages.count
        return StreamReport(
            source=source.name,
            engine=self._backend.name,
            mode=self._mode(),
            frames=frames,
            anomalous=inference.anomalous,
            drops=self.ring.dropped,
            broken=source.broken,
            reconnects=source.reconnects,
            unshown=self.outlet.unshown,
            passed=self.capture.passed,
            missed_beats=self.capture.missed,
            warm_runs=inference.warm_runs,
            budget_ms=self._config.budget_ms,
            misses=inference.misses,
            max_misses=self._config.max_misses,
            seconds=inference.seconds,
            fps=frames / inference.seconds,
            latency=self._stages.total(),
            stages=self._stages.parts(),
            clocks=self.watch.report(),
        )

    def _mode(self) -> str:
        config = self._config
        if config.interval is not None:
            pace = f"a frame each {config.interval}"
        elif self._source.live:
            pace = "as frames arrive"
        else:
            pace = "saturated" if config.fps is None else f"paced at {config.fps:g}/s"
        return f"{pace}, {config.in_flight} in flight"
