"""From inference to the sinks, which never make it wait on a live source.

    inference thread   offer(): a record always, the picture where one of the pool is free
    main thread        serve(): the records first, then the pictures; windows want this thread

    live source   a picture that finds no room is not shown, and counted; its record is kept
    file          inference waits for room: every picture arrives

Records are a few hundred bytes each. They wait for a slow disk in a queue with a large limit, and
beyond it the stream ends with an error instead of filling the memory.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from edgeseg.cards import GraphCard
from edgeseg.errors import EdgesegError, SinkError
from edgeseg.runtime.base import Slot
from edgeseg.stream.pipeline.results import Picture, Record, Result
from edgeseg.stream.pipeline.stages import Stages
from edgeseg.stream.sink.sinks import AnySink, RecordSink, Sink

PICTURES = 3  # one in a sink, one that waits, one for the next frame
RECORDS = 100_000  # some 40 MB; 55 minutes of a camera's frames at 30/s

Item = tuple[Record, Picture | None, int]  # and the moment of its mask, perf_counter_ns


class Outlet:
    """Copies of results on their way from one inferring thread to the sinks in the main thread."""

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
        self._records = [sink for sink in sinks if isinstance(sink, RecordSink)]
        self._shows = [sink for sink in sinks if isinstance(sink, Sink)]
        self._card, self._stages, self._live = card, stages, live
        self._threshold, self._limit = threshold, limit
        self._wanted = bool(sinks)
        self._pictured = bool(self._shows)
        self._free = [Picture.of(card) for _ in range(PICTURES if self._shows else 0)]
        self._waiting: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self.error: EdgesegError | None = None
        """What the first sink that failed said; the others got everything all the same."""
        self.unshown = 0
        """Pictures of a live source that no sink had time for."""

    def offer(self, record: Record, slot: Slot, done: int) -> None:
        """Take one result over; afterwards the slot is free. Inference's side.

        done: the moment of its mask. SinkError: more records wait than the limit allows.
        """
        if not self._wanted or self._closed:
            return
        picture = self._picture()
        if picture is not None:
            np.copyto(picture.frame, slot.frame[0])
            np.copyto(picture.mask, slot.mask[0])
            np.copyto(picture.anomaly_map, slot.anomaly_map[0])
        with self._changed:
            if not self._live:
                self._changed.wait_for(lambda: len(self._waiting) < self._limit or self._closed)
            if len(self._waiting) >= self._limit and not self._closed:
                raise SinkError(
                    f"{self._limit} results wait to be written: the outputs are slower than the "
                    "source.",
                    remedy="write --jsonl and --out to a quicker disk",
                )
            self._waiting.append((record, picture, done))
            self._changed.notify_all()

    def _picture(self) -> Picture | None:
        """Return a free picture; None where nobody looks, and where none is free in time."""
        if not self._pictured:
            return None
        with self._changed:
            if not self._live:
                self._changed.wait_for(lambda: self._free or not self._pictured or self._closed)
            if self._free:
                return self._free.pop()
            self.unshown += self._pictured
            return None

    def end(self) -> None:
        """Say that no result follows. Inference's side."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Keep nobody waiting who offers; what is offered from now on is lost."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def serve(self, enough: Callable[[], None], *, timeout: float) -> bool:
        """Give the sinks what waits, or what comes within `timeout` seconds; False at the end.

        `enough` is called when a sink wants no more or fails; the others go on until the end.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, timeout)
            items = list(self._waiting)
            self._waiting.clear()
            if not items and self._ended:
                return False
            self._changed.notify_all()
        for record, _, _ in items:
            self._write(record, enough)
        for record, picture, done in items:
            if picture is not None:
                self._show(record, picture, enough)
            self._stages.add_sinks((time.perf_counter_ns() - done) / 1e9)
        if not items:
            self._each_show(lambda sink: sink.idle(), enough)
        return True

    def _write(self, record: Record, enough: Callable[[], None]) -> None:
        for sink in list(self._records):
            try:
                sink.write(record)
            except EdgesegError as error:
                self._records.remove(sink)
                self._fail(error, enough)

    def _show(self, record: Record, picture: Picture, enough: Callable[[], None]) -> None:
        result = Result(
            record=record,
            picture=picture,
            frame_format=self._card.frame_format,
            threshold=self._threshold,
        )
        self._each_show(lambda sink: sink.write(result), enough)
        with self._changed:
            self._free.append(picture)
            self._changed.notify_all()

    def _each_show(self, step: Callable[[Sink], bool], enough: Callable[[], None]) -> None:
        for sink in list(self._shows):
            try:
                if step(sink):
                    continue
                enough()
            except EdgesegError as error:
                self._fail(error, enough)
            self._shows.remove(sink)
            with self._changed:
                self._pictured = bool(self._shows)
                self._changed.notify_all()

    def _fail(self, error: EdgesegError, enough: Callable[[], None]) -> None:
        self.error = self.error or error
        enough()
