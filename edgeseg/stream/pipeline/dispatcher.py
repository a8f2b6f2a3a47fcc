"""Hands results from inference to the sinks, which never delay inference on a live source.

    inference thread   offer(): queues the record, and a copy of the frame if a buffer is free
    main thread        dispatch(): records first, then frames; windows require this thread

    live source   without a free buffer the frame is not shown, and counted; its record is kept
    file          inference waits for a free buffer: every frame is shown

A record and each of its regions have a few hundred bytes. Records queue up when a disk is slow; at
the limit the stream ends with an error rather than filling the memory.

A sink that fails is removed, with a warning and an error in the report; the stream continues while
another sink is left.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from edgeseg.cards import GraphCard
from edgeseg.errors import EdgesegError, SinkError
from edgeseg.log import log
from edgeseg.runtime.base import Slot
from edgeseg.stream.pipeline.latency import Stages
from edgeseg.stream.sink.base import AnySink, FrameSink, Record, RecordSink, Result, ResultBuffers

BUFFERS = 3  # one in a sink, one that waits, one for the next frame
RECORDS = 100_000  # and regions; about 40 MB; 55 minutes of good parts at 30 frames/s

Item = tuple[Record, ResultBuffers | None, int | None]
"""A record, its buffers, and the time of its mask in nanoseconds of `time.perf_counter_ns`.

A frame that was not judged has no mask: its buffers are black, and its time is None.
"""


class Dispatcher:
    """Queues copies of results between the inference thread and the sinks in the main thread."""

    def __init__(
        self,
        sinks: Sequence[AnySink],
        card: GraphCard,
        stages: Stages,
        *,
        live: bool,
        threshold: float,
        limit: int = RECORDS,
    ) -> None:
        self._record_sinks = [sink for sink in sinks if isinstance(sink, RecordSink)]
        self._frame_sinks = [sink for sink in sinks if isinstance(sink, FrameSink)]
        self._card, self._stages, self._live = card, stages, live
        self._rows, self._columns = card.content.rows, card.content.columns
        self._threshold, self._limit = threshold, limit
        self._outlines = () if card.roi is None else card.roi.outlines(card.picture_place)
        self.has_sinks = bool(sinks)
        self.has_frame_sinks = bool(self._frame_sinks)
        self._wants_frames = bool(self._frame_sinks)
        self._free = [ResultBuffers.of(card) for _ in range(BUFFERS if self._frame_sinks else 0)]
        self._waiting: deque[Item] = deque()
        self._held = 0
        """Records and regions that wait."""
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._sinks = tuple(sinks)
        self.not_shown = 0
        """Frames of a live source that no video or window had time for."""

    def offer(self, record: Record, slot: Slot | None = None, done: int | None = None) -> None:
        """Queue one result; then the slot is free again. Called by inference.

        slot, done: the arrays and the time of the mask; None for a frame that was not judged.
        SinkError if too many records wait.
        """
        if not self.has_sinks or self._closed:
            return
        buffers = self._free_buffers()
        if buffers is not None and slot is None:
            buffers.clear()
        elif buffers is not None and slot is not None:
            np.copyto(buffers.frame, slot.frame[0])
            np.copyto(buffers.mask, slot.mask[0])
            np.copyto(buffers.anomaly_map, slot.anomaly_map[0, self._rows, self._columns])
        with self._changed:
            if not self._live:
                self._changed.wait_for(lambda: self._held < self._limit or self._closed)
            if self._held >= self._limit and not self._closed:
                raise SinkError(
                    f"{len(self._waiting)} results wait to be written: the sinks are slower than "
                    "the source.",
                    remedy="write --jsonl and --out to a faster disk",
                    code="sink/too-slow",
                )
            self._waiting.append((record, buffers, done))
            self._held += 1 + len(record.regions)
            self._changed.notify_all()

    def _free_buffers(self) -> ResultBuffers | None:
        """Return free buffers; None if no sink needs them, or none is free in time."""
        if not self._wants_frames:
            return None
        with self._changed:
            if not self._live:
                self._changed.wait_for(lambda: self._free or not self._wants_frames or self._closed)
            if self._free:
                return self._free.pop()
            self.not_shown += self._wants_frames
            return None

    def end(self) -> None:
        """Signal that no result follows. Called by inference."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Wake up a waiting `offer`; later results are discarded."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def errors(self) -> list[EdgesegError]:
        """Why outputs that were asked for are incomplete."""
        return [sink.error for sink in self._sinks if sink.error is not None]

    @property
    def lost(self) -> int:
        """Records that a sink could not write."""
        return sum(sink.lost for sink in self._sinks if isinstance(sink, RecordSink))

    def dispatch(self, stop: Callable[[], None], *, timeout: float) -> bool:
        """Pass waiting results, or those of the next `timeout` seconds, on; False at the end.

        `stop` is called when a sink ends the stream, or the last one fails.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, timeout)
            items = list(self._waiting)
            self._waiting.clear()
            self._held = 0
            if not items and self._ended:
                return False
            self._changed.notify_all()
        for record, _, _ in items:
            self._write(record, stop)
        for record, buffers, done in items:
            if buffers is not None:
                self._show(record, buffers, stop)
            if done is not None:
                self._stages.add_sinks((time.perf_counter_ns() - done) / 1e9)
        if not items:
            self._each_frame_sink(lambda sink: sink.idle(), stop)
        return True

    def _write(self, record: Record, stop: Callable[[], None]) -> None:
        for sink in list(self._record_sinks):
            try:
                sink.write(record)
            except EdgesegError as error:
                self._record_sinks.remove(sink)
                self._fail(sink, error, stop)

    def _show(self, record: Record, buffers: ResultBuffers, stop: Callable[[], None]) -> None:
        result = Result(
            record=record,
            buffers=buffers,
            frame_format=self._card.frame_format,
            threshold=self._threshold,
            outlines=self._outlines,
        )
        self._each_frame_sink(lambda sink: sink.write(result), stop)
        with self._changed:
            self._free.append(buffers)
            self._changed.notify_all()

    def _each_frame_sink(self, step: Callable[[FrameSink], bool], stop: Callable[[], None]) -> None:
        for sink in list(self._frame_sinks):
            try:
                if step(sink):
                    continue
                self._frame_sinks.remove(sink)
                stop()
            except EdgesegError as error:
                self._frame_sinks.remove(sink)
                self._fail(sink, error, stop)
            with self._changed:
                self._wants_frames = bool(self._frame_sinks)
                self._changed.notify_all()

    def _fail(self, sink: AnySink, error: EdgesegError, stop: Callable[[], None]) -> None:
        sink.error = error
        if self._record_sinks or self._frame_sinks:
            log.warning(f"{error.problem.rstrip('.')}; the stream continues")
        else:
            stop()
