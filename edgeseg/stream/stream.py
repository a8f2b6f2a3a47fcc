"""The command `stream`: frames in, masks out, until the source, the user or a limit ends it.

    capture thread     source -> frame      capture.py: the newest frame wins
    inference thread   frame -> mask        in_flight.py, inference.py: no copy, no allocation
    main thread        mask -> sinks        dispatcher.py: sinks get copies and delay nothing

The latency is the time from a frame's arrival to its mask in memory (latency.py). A camera's frame
arrives when the driver delivers it, before it is decoded. A file's frame arrives when inference
takes it, or with `--fps` when it is due.

A signal, a limit, the end or the loss of the source and the failure of the last sink end a stream
in the same way: no further frame is taken, those in flight are finished, every sink gets its
results, the threads are joined, and the caller closes sinks, source and backend. A camera driver
may block in a read forever. It is not waited for; its buffers are leaked on purpose until the
process exits.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from edgeseg.config import StreamConfig
from edgeseg.cuda.nvtx import marker
from edgeseg.errors import EdgesegError, SourceError
from edgeseg.interrupt import stop_requests
from edgeseg.log import log
from edgeseg.machine.clocks import Watch
from edgeseg.machine.facts import this_machine
from edgeseg.prediction import single_frame
from edgeseg.runtime.base import Backend
from edgeseg.stream.pipeline.capture import Capture, Ring
from edgeseg.stream.pipeline.dispatcher import Dispatcher
from edgeseg.stream.pipeline.in_flight import InFlightRequests, open_requests
from edgeseg.stream.pipeline.inference import POLL, Inference
from edgeseg.stream.pipeline.judge import Judge
from edgeseg.stream.pipeline.latency import Stages
from edgeseg.stream.report import StreamReport
from edgeseg.stream.sink.base import AnySink
from edgeseg.stream.sink.open import close_sinks, open_sinks
from edgeseg.stream.source.base import Source
from edgeseg.stream.source.open import open_for
from edgeseg.stream.watchdog import Watchdog

STATUS_EVERY = 5.0  # seconds between log lines with the counts


def stream_from(backend: Backend, config: StreamConfig) -> StreamReport:
    """Open the source and the sinks that `config` names, and stream between them."""
    with ExitStack() as stack:
        single_frame(backend)
        config.applied(backend.card.rule)  # before a camera is opened
        source = open_for(backend.card, config)
        stack.enter_context(source)
        stack.enter_context(stop_requests())  # a second signal must not truncate the files
        sinks = open_sinks(config, backend.card, source, stack=stack)
        report = stream(backend, source, sinks, config)
        return replace(report, errors=report.errors + close_sinks(sinks))


def stream(
    backend: Backend, source: Source, sinks: Sequence[AnySink], config: StreamConfig
) -> StreamReport:
    """Process the frames of `source` until something ends the stream; the caller closes all.

    The end of the source, a limit, a sink that ends the stream, SIGINT and SIGTERM return a report.
    SourceError: the source failed, or delivered no frame. Before an error is raised, the report is
    logged. A sink that fails is an error in the report; the others are complete.
    """
    single_frame(backend)
    with (
        stop_requests() as stop,
        open_requests(backend, config, kept=source.keeps) as requests,
    ):
        run = _StreamRun(backend, requests, source, sinks, config)
        try:
            with run.watch, run.capture, run.inference, Watchdog() as watchdog:
                while run.dispatcher.dispatch(run.inference.stop, timeout=POLL):
                    watchdog.progress(run.judged)
                    if stop.requested:
                        run.inference.stop()
                    run.log_status()
        finally:
            if run.capture.blocked:
                requests.keep_until_exit()
                log.warning(
                    f"{source.name}: read() is blocked; its buffers are kept until this process "
                    "exits"
                )
    report = run.report()
    error = run.inference.error
    if isinstance(error, EdgesegError):
        log.info(report.summary())
    if error is not None:
        raise error
    if not report.frames + report.not_judged and run.ring.over:
        raise SourceError(
            f"no frames from {source.name}.",
            remedy="choose a source with frames",
            code="source/no-frames",
        )
    return report


class _StreamRun:
    """The components of one stream, allocated before its first frame."""

    def __init__(
        self,
        backend: Backend,
        requests: InFlightRequests,
        source: Source,
        sinks: Sequence[AnySink],
        config: StreamConfig,
    ) -> None:
        self._backend, self._source, self._config = backend, source, config
        self._stages = Stages()
        self.watch = Watch(bus_id=this_machine(config.device).gpu_bus_id)
        frames = requests.frames()
        source.lend(frames[: source.keeps])
        self.ring = Ring(frames[source.keeps :], live=source.live)
        mark = marker(on=config.nvtx)
        self.capture = Capture(source, self.ring, period=self._period(), mark=mark)
        threshold = float(requests.requests[0].slot.threshold[0])
        self.dispatcher = Dispatcher(
            sinks, backend.card, self._stages, live=source.live, threshold=threshold
        )
        judge = Judge(
            requests,
            backend.card,
            config,
            measures=self.dispatcher.has_sinks,
            maps=self.dispatcher.has_frame_sinks,
        )
        self.inference = Inference(judge, self.capture, self.dispatcher, self._stages, config)
        self._began = self._logged = time.perf_counter()

    def _period(self) -> float | None:
        """Return the seconds between two frames; None to process them as they come."""
        config = self._config
        if config.interval is None and config.fps is not None and not self._source.live:
            return 1 / config.fps
        return config.every()

    @property
    def judged(self) -> int:
        """Frames so far that have a verdict."""
        return self._stages.count + self.inference.not_judged

    def log_status(self) -> None:
        """Log the counts every few seconds."""
        now = time.perf_counter()
        if now - self._logged < STATUS_EVERY:
            return
        self._logged = now
        masks = self._stages.count
        log.info(
            f"{masks + self.inference.not_judged} frames, {self.inference.anomalous} anomalous, "
            f"{self.inference.unknown} unknown, {masks / (now - self._began):.1f} masks/s; "
            f"{self.ring.dropped + self._source.skipped} dropped"
            + (f", {self.dispatcher.lost} lines lost" if self.dispatcher.lost else "")
        )

    def report(self) -> StreamReport:
        """Return the report; valid after the threads have ended."""
        source, inference, frames = self._source, self.inference, self._stages.count
        return StreamReport(
            source=source.name,
            engine=self._backend.name,
            mode=self._mode(),
            frames=frames,
            not_judged=inference.not_judged,
            anomalous=inference.anomalous,
            unknown=inference.unknown,
            drops=self.ring.dropped + source.skipped,
            driver_drops=source.driver_drops,
            received=self.capture.received + source.skipped,
            unread=self.capture.unread,
            broken=source.broken,
            damaged=tuple(source.damaged.found),
            reconnects=source.reconnects,
            not_shown=self.dispatcher.not_shown,
            lost=self.dispatcher.lost,
            errors=tuple(self.dispatcher.errors),
            strict=self._config.strict,
            trigger_drops=self.capture.dropped,
            missed_triggers=self.capture.missed,
            keep_warm_iterations=inference.keep_warm_iterations,
            budget_ms=self._config.budget_ms,
            misses=inference.misses,
            max_misses=self._config.max_misses,
            seconds=inference.seconds,
            fps=frames / inference.seconds,
            path=inference.path,
            cpu_writes=inference.writes,
            latency=self._stages.total(),
            stages=self._stages.summaries(),
            clocks=self.watch.report(),
        )

    def _mode(self) -> str:
        config = self._config
        if config.interval is not None:
            pace = f"one frame per {config.interval}"
        elif self._source.live:
            pace = "frames as they arrive"
        else:
            pace = "saturated" if config.fps is None else f"paced at {config.fps:g}/s"
        return f"{pace}, {config.in_flight} in flight"
