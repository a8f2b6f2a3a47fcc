"""The thread that reads a source into a ring, at the source's pace or at a line's.

as it comes   every frame of a camera; a file as quickly as it is inferred
--fps         a file's frames one by one, at the beat of a line: read ahead, handed over in time
--interval    a camera is read all the time, so that its frames stay fresh, and the first one
              that arrives after each trigger is handed over; a file has its beat
"""

import threading

from edgeseg.cuda.nvtx import UNMARKED, Mark
from edgeseg.stream.pipeline.pace import Pace
from edgeseg.stream.pipeline.ring import Frame, Ring, Source

JOIN_SECONDS = 2.0  # for a read that is under way when the stream ends


class Capture:
    """Reads a source into a ring while the `with` block runs."""

    def __init__(
        self,
        source: Source,
        ring: Ring,
        *,
        every: float | None = None,
        mark: Mark = UNMARKED,
    ) -> None:
        """every: seconds from one frame that is handed over to the next; None: all of them."""
        self.source, self.ring, self._mark = source, ring, mark
        self._pace = self._trigger = None
        if every is not None and source.live:
            self._trigger = Trigger(every)
        elif every is not None:
            self._pace = Pace(every, self._sleep)
        self._thread = threading.Thread(target=self._read, name="capture", daemon=True)
        self._ended = threading.Event()
        self.stamps = source.live or every is not None
        """Whether a frame has an arrival: a camera's or a beat's; a file at full speed has none."""
        self.due: int | None = None
        """When the next frame is wanted, in nanoseconds of `time.perf_counter_ns`; None: now."""

    def __enter__(self) -> "Capture":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.source.stopping.set()
        self.ring.close()
        if self._ended.wait(JOIN_SECONDS):
            self._thread.join()

    @property
    def hangs(self) -> bool:
        """Whether a read has not returned though the stream ended: it may still write."""
        # is_alive() would say no after a join that Ctrl-C interrupted, up to Python 3.12.
        return self._thread.ident is not None and not self._ended.is_set()

    @property
    def passed(self) -> int:
        """Frames of a camera that came between two triggers, and were not wanted."""
        return self._trigger.passed if self._trigger else 0

    @property
    def missed(self) -> int:
        """Beats without a frame: inference was behind a file's, a camera was slower than them."""
        beat = self._pace or self._trigger
        return beat.missed if beat else 0

    def _read(self) -> None:
        try:
            while (frame := self.ring.claim()) is not None:
                if not self._next(frame):
                    break
                self.ring.publish(frame)
        except _Stopping:
            self.ring.finish()
        except BaseException as error:  # whatever it is, the main thread raises it
            self.ring.finish(error)
        else:
            self.ring.finish()
        finally:
            self._ended.set()

    def _next(self, frame: Frame) -> bool:
        """Read the next frame that is wanted; False at the end."""
        if not self._fill(frame):
            return False
        if self._pace:
            self.due = self._pace.next_ns
            self._pace.wait()
            frame.stamp()
        while self._trigger and not self._trigger.takes(frame.arrival):
            self.due = self._trigger.due
            if not self._fill(frame):
                return False
        return True

    def _fill(self, frame: Frame) -> bool:
        with self._mark("capture"):
            return self.source.read_into(frame)

    def _sleep(self, seconds: float) -> None:
        if self.source.stopping.wait(seconds):
            raise _Stopping


class Trigger:
    """Takes the first frame that arrives at or after each beat; the first one sets the beat."""

    def __init__(self, period: float) -> None:
        self._period = max(round(period * 1e9), 1)
        self.due: int | None = None
        self.passed = self.missed = 0

    def takes(self, arrival: int) -> bool:
        """Whether the frame that arrived then is wanted."""
        if self.due is None:
            self.due = arrival
        if arrival < self.due:
            self.passed += 1
            return False
        beats = (arrival - self.due) // self._period
        self.missed += beats
        self.due += (beats + 1) * self._period
        return True


class _Stopping(Exception):
    """The stream ended while a beat was waited for."""
