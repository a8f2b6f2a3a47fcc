"""Frames in, masks out, until the source, the user or a limit ends it.

    capture thread   source -> ring
    this thread      ring -> slot.frame -> backend.run() -> sinks

Arrival-to-mask is the time from a frame's arrival to its mask in memory. A camera's frame arrives
when the driver hands it over, before it is decoded; what it waited, its resize and the run are all
inside. A file's frame has no arrival: its clock starts when the loop takes it. Sinks come after
the mask; on a live source the next frame waits for them, and its figure shows it.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from edgeseg.config import StreamConfig
from edgeseg.data.images import fill_frame
from edgeseg.errors import EdgesegError, ModelError, SourceError
from edgeseg.interrupt import Stop, stop_requests
from edgeseg.runtime.base import Backend
from edgeseg.stream.latency import Latencies, Percentiles
from edgeseg.stream.mode import Mode
from edgeseg.stream.ring import Capture, Frame, Ring, Source
from edgeseg.stream.sinks import Result, Sink, open_sinks
from edgeseg.stream.sources import open_source

POLL = 0.1  # seconds between looks at the clock and at Ctrl-C while no frame comes
STATUS_EVERY = 5.0  # seconds between lines that say the stream is alive


@dataclass(frozen=True, kw_only=True)
class StreamReport:
    """What a stream did, and how long a frame took from arrival to mask."""

    source: str
    engine: str
    frames: int
    anomalous: int
    drops: int
    """Frames of a live source that were replaced before they were looked at."""
    broken: int
    reconnects: int
    seconds: float
    fps: float
    latency: Percentiles | None
    """None when no frame came before the end."""

    def summary(self) -> str:
        """Return the report as text."""
        lines = [
            f"{self.source}: {self.frames} frames in {self.seconds:.1f} s ({self.fps:.1f}/s), "
            f"{self.anomalous} anomalous, {self.drops} dropped, {self.broken} broken, "
            f"{self.reconnects} reconnects"
        ]
        if self.latency is not None:
            lines.append(f"arrival to mask  {self.latency.line()}  {self.engine}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the report as one flat JSON object."""
        document = dataclasses.asdict(self)
        return document | (document.pop("latency") or {})


def stream_from(backend: Backend, config: StreamConfig, say: Callable[[str], None]) -> StreamReport:
    """Open the source and the sinks that `config` names, and stream between them."""
    with ExitStack() as stack:
        _, height, width, _ = single_frame(backend)
        source = open_source(
            config.address(),
            size=(height, width),
            attempts=config.reconnects,
            wish=Mode.of(config),
            say=say,
        )
        stack.enter_context(source)
        stack.enter_context(stop_requests())  # a second signal must not cut the files off
        sinks = open_sinks(config, backend.card, source, stack=stack, say=say)
        return stream(backend, source, sinks, config, say)


def stream(
    backend: Backend,
    source: Source,
    sinks: Sequence[Sink],
    config: StreamConfig,
    say: Callable[[str], None],
) -> StreamReport:
    """Run every frame of `source` through the backend until something ends it.

    The end of the source, a limit, a sink that wants no more, SIGINT and SIGTERM end it with a
    report. SourceError: the source failed, or delivered nothing. Before an error, `say` has the
    report of what was done until then.
    The caller closes source and sinks, which completes their files.
    """
    with stop_requests() as stop:
        run = _Run(backend, source, sinks, config, say)
        with Capture(source) as ring:
            try:
                run.loop(ring, stop)
            except EdgesegError:
                say(run.report(ring).summary())
                raise
            report = run.report(ring)
    if not report.frames and ring.over:
        raise SourceError(f"{source.name} delivered no frame.", remedy="name a source with frames")
    return report


def single_frame(backend: Backend) -> tuple[int, int, int, int]:
    """Return the frame's shape [1, H, W, C]; ModelError for a graph of several frames a run."""
    shape = backend.card.frame_shape
    if shape[0] != 1:
        raise ModelError(
            f"{backend.card.name} takes {shape[0]} frames in one run; a graph of one was expected: "
            "waiting for the others would delay the first.",
            remedy="edgeseg export --batch 1",
        )
    return shape


class _Run:
    """One stream under way."""

    def __init__(
        self,
        backend: Backend,
        source: Source,
        sinks: Sequence[Sink],
        config: StreamConfig,
        say: Callable[[str], None],
    ) -> None:
        self._backend, self._source, self._sinks, self._say = backend, source, sinks, say
        self._config, self._card = config, backend.card
        self._limit = self._card.image_threshold
        if config.image_threshold is not None:
            self._limit = config.image_threshold
        single_frame(backend)
        self._slot = backend.new_slot()
        if config.threshold is not None:
            self._slot.threshold[0] = config.threshold
        backend.bind(self._slot)
        backend.run()  # a runtime's first run is not like the others
        self._threshold = float(self._slot.threshold[0])
        self._latencies = Latencies()
        self._anomalous = 0
        self._began = self._said = time.perf_counter()
        self._resized = False

    def loop(self, ring: Ring, stop: Stop) -> None:
        """Take frames until the end."""
        while not (stop.requested or ring.over or self._at_limit()):
            frame = ring.take(POLL)
            if frame is None:
                continue
            if not self._source.live:
                frame.stamp()
            result = self._infer(frame)
            ring.release(frame)
            wanted = [sink.write(result) for sink in self._sinks]
            if not all(wanted):
                return
            self._status(ring)

    def report(self, ring: Ring) -> StreamReport:
        """Return what was done so far."""
        seconds = time.perf_counter() - self._began
        frames = self._latencies.count
        return StreamReport(
            source=self._source.name,
            engine=self._backend.name,
            frames=frames,
            anomalous=self._anomalous,
            drops=ring.dropped,
            broken=self._source.broken,
            reconnects=self._source.reconnects,
            seconds=seconds,
            fps=frames / seconds,
            latency=self._latencies.summary() if frames else None,
        )

    def _infer(self, frame: Frame) -> Result:
        slot, card = self._slot, self._card
        if not self._resized and frame.image.shape[:2] != slot.mask.shape[1:]:
            self._resized = True
            self._say(self._resize_note(frame))
        fill_frame(slot.frame[0], frame.image, source="bgr", target=card.frame_format)
        self._backend.run()
        seconds = (time.perf_counter_ns() - frame.arrival) / 1e9
        self._latencies.add(seconds)
        score = float(slot.score[0])
        anomalous = not score <= self._limit  # NaN never passes a part as good
        self._anomalous += anomalous
        return Result(
            index=frame.index,
            label=frame.label,
            arrival=frame.clock,
            milliseconds=seconds * 1e3,
            score=score,
            anomalous=anomalous,
            verdict=card.classes[anomalous],
            threshold=self._threshold,
            frame=slot.frame[0],
            frame_format=card.frame_format,
            mask=slot.mask[0],
            anomaly_map=slot.anomaly_map[0],
        )

    def _at_limit(self) -> bool:
        config = self._config
        if config.frames is not None and self._latencies.count >= config.frames:
            return True
        elapsed = time.perf_counter() - self._began
        return config.seconds is not None and elapsed >= config.seconds

    def _status(self, ring: Ring) -> None:
        now = time.perf_counter()
        if now - self._said < STATUS_EVERY:
            return
        self._said = now
        frames = self._latencies.count
        self._say(
            f"{frames} frames, {frames / (now - self._began):.1f}/s, {ring.dropped} dropped, "
            f"{self._anomalous} anomalous"
        )

    def _resize_note(self, frame: Frame) -> str:
        height, width = frame.image.shape[:2]
        _, rows, columns, _ = self._card.frame_shape
        return (
            f"{self._source.name} delivers {width}x{height} and the graph takes {columns}x{rows}: "
            "frames are resized on the CPU, within the latency; to do it inside the graph: "
            f"edgeseg export --frame-size {width}x{height}"
        )
