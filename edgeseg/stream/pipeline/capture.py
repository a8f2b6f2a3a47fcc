"""The capture thread, and the ring through which it hands frames to inference.

    live source   an unread frame is replaced by the next one and counted as dropped, so that
                  inference always gets the newest
    file          a bounded queue: the reader waits for room, and no frame is dropped

Frame buffers are allocated once and reused: free -> capture -> ready -> inference -> free. A broken
frame is handed over without its buffer: it replaces no frame, and no frame replaces it.

A live source is told when inference needs its next frame (rhythm.py), and decodes few in vain.

Frames are handed over as they come; of a file at a fixed rate (`--fps`), or one per `--interval`. A
camera is read continuously even then, and the first frame at or after each trigger is used.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable

from edgeseg.cuda.nvtx import UNMARKED, Mark
from edgeseg.stream.pipeline.frozen import FrozenWatch
from edgeseg.stream.pipeline.pace import Gate, Pace, Trigger
from edgeseg.stream.pipeline.rhythm import Rhythm
from edgeseg.stream.source.base import Frame, Source
from edgeseg.verdict.names import DROPPED

# Broken frames of a live source; while so many wait, later ones are dropped.
MOST_WAITING = 1000
JOIN_SECONDS = 2.0  # to wait for a pending read at the end of the stream


class Ring:
    """Frames between the capture and the inference thread, under one condition variable."""

    def __init__(self, frames: Iterable[Frame], *, live: bool, tells_drops: bool = False) -> None:
        """tells_drops: hand over a dropped frame too, without its image."""
        self._live, self._tells_drops = live, tells_drops
        self._free = list(frames)
        self._depth = MOST_WAITING if live else len(self._free)
        self._ready: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._closed = self._finished = False
        self._error: BaseException | None = None
        self._rhythm = Rhythm()
        self._count = 0
        self.dropped = 0

    def claim(self) -> Frame | None:
        """Wait for a free frame; None after `close`. Called by capture."""
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._closed)
            return None if self._closed else self._free.pop()

    def publish(self, frame: Frame) -> None:
        """Hand over a filled frame; in a live ring it replaces an unread one. Called by capture."""
        with self._changed:
            frame.index = self._count
            self._count += 1
            if frame.fault:
                self._publish_broken(frame)
            else:
                self._drop_unread()
                self._ready.append(frame)
            self._changed.notify_all()

    def _publish_broken(self, frame: Frame) -> None:
        """Hand over a frame without an image; of a file, wait for room."""
        if not self._live:
            self._changed.wait_for(lambda: len(self._ready) < self._depth or self._closed)
        if self._live and len(self._ready) >= self._depth:
            self.dropped += 1
        else:
            self._ready.append(frame.without_image())
        self._free.append(frame)

    def _drop_unread(self) -> None:
        """Take back the whole frame of a live ring that nobody took; there is one at most."""
        for place, unread in enumerate(self._ready):
            if self._live and not unread.fault:
                del self._ready[place]
                self._free.append(unread)
                self.dropped += 1
                if self._tells_drops and len(self._ready) < self._depth:
                    gone = unread.without_image()
                    gone.fault = DROPPED
                    self._ready.append(gone)
                return

    def finish(self, error: BaseException | None = None) -> None:
        """Signal the end of the source, or its error. Called by capture."""
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()

    def take(self, timeout: float) -> Frame | None:
        """Return the next frame; None after `timeout` seconds, at the end, and after `close`.

        Raises the error that ended the capture, after the frames that came before it.
        """
        with self._changed:
            self._rhythm.waits(time.perf_counter())
            self._changed.wait_for(lambda: self._ready or self._finished or self._closed, timeout)
            if self._ready:
                self._rhythm.takes(time.perf_counter())
                return self._ready.popleft()
            if self._error is not None:
                raise self._error
            return None

    def needed(self) -> float:
        """Return the seconds until inference takes its next frame; 0 if unknown."""
        with self._changed:
            return self._rhythm.until_next(time.perf_counter())

    @property
    def unread(self) -> int:
        """Frames that nobody took before the end."""
        with self._changed:
            return len(self._ready)

    def release(self, frame: Frame) -> None:
        """Return a frame to be filled again; the buffer of a broken one is back already."""
        with self._changed:
            if not frame.fault:
                self._free.append(frame)
            self._changed.notify_all()

    @property
    def over(self) -> bool:
        """Whether the source ended without an error and every frame was taken."""
        with self._changed:
            return self._finished and not self._ready and self._error is None

    def close(self) -> None:
        """Wake up whoever waits in `claim` or `take`, and end the stream."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Capture:
    """Reads a source into a ring in a thread of its own while the `with` block runs."""

    def __init__(
        self,
        source: Source,
        ring: Ring,
        *,
        period: float | None = None,
        gate: Gate | None = None,
        mark: Mark = UNMARKED,
    ) -> None:
        """period: seconds between two frames that are handed over; None for every frame.

        gate: selects the frames of a camera in place of a period.
        """
        self.source, self.ring, self._mark = source, ring, mark
        self._frozen = FrozenWatch() if source.live else None
        self._pace = None
        self._gate = gate
        if source.live and period is None and gate is None:
            source.needed = ring.needed
        if period is not None and source.live:
            self._gate = Trigger(period)
        elif period is not None:
            self._pace = Pace(period, self._sleep)
        self._thread = threading.Thread(target=self._read, name="capture", daemon=True)
        self._ended = threading.Event()
        self.stamps = source.live or source.stamps or period is not None
        """Whether frames have an arrival time; those of a file at full speed have none."""
        self.received = 0
        """Frames that the source delivered, also broken ones."""
        self._not_due = 0
        self.due: int | None = None
        """When the next frame is due, `time.perf_counter_ns`; None for immediately."""

    def __enter__(self) -> "Capture":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.source.stopping.set()
        self.ring.close()
        if self._ended.wait(JOIN_SECONDS):
            self._thread.join()

    @property
    def blocked(self) -> bool:
        """Whether a read has not returned after the end of the stream, and may still write."""
        # is_alive() would be False after a join that Ctrl-C interrupted, up to Python 3.12.
        return self._thread.ident is not None and not self._ended.is_set()

    @property
    def dropped(self) -> int:
        """Frames of a camera between two triggers."""
        return self._gate.dropped if self._gate else 0

    @property
    def unread(self) -> int:
        """Frames that were delivered, and that the stream ended before."""
        return self.ring.unread + self._not_due

    @property
    def missed(self) -> int:
        """Triggers without a frame: a file's while inference was busy, or a slow camera's."""
        timer = self._pace or self._gate
        return timer.missed if timer else 0

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            while (frame := self.ring.claim()) is not None and self._next(frame):
                self.ring.publish(frame)
        except _Stopping:
            self._not_due = 1
        except BaseException as raised:  # of any kind: the main thread raises it
            error = raised
        finally:
            self.source.release()
            self.ring.finish(error)
            self._ended.set()

    def _next(self, frame: Frame) -> bool:
        """Read the next frame that is due; False at the end."""
        if not self._fill(frame):
            return False
        if self._pace:
            self.due = self._pace.next_ns
            self._pace.wait()
            frame.stamp()
        while self._gate and not self._gate.takes(frame):
            self.due = self._gate.due
            if not self._fill(frame):
                return False
        return True

    def _fill(self, frame: Frame) -> bool:
        frame.fault, frame.trigger = "", None
        with self._mark("capture"):
            done = self.source.read_into(frame)
        if done and not frame.fault and self._frozen is not None:
            frame.frozen = self._frozen.frozen(frame.image)
        self.received += done
        return done

    def _sleep(self, seconds: float) -> None:
        if self.source.stopping.wait(seconds):
            raise _Stopping


class _Stopping(Exception):
    """The stream ended while capture waited for the next period."""
