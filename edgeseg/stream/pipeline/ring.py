"""The hand-over of frames from the thread that captures to the one that infers.

    live source   the newest frame wins: an unread one is replaced and counted as dropped, so the
                  mask on the screen is never of a frame that has waited in a queue
    file          a bounded queue: the reader waits for room, and no frame is lost

Frames are made once and go round: free -> capture -> ready -> inference -> free. None is ever
inferred twice.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from edgeseg.data.images import Image
from edgeseg.runtime.base import Closing


@dataclass
class Frame:
    """One buffer on its way round, and the moments of its way."""

    image: Image = field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8))
    """BGR uint8 [h, w, 3]; a source writes into it when its size fits, else it replaces it."""
    index: int = 0
    arrival: int = 0
    """Nanoseconds of `time.perf_counter_ns`, as the three moments below."""
    clock: float = 0.0
    """The moment of arrival in seconds since 1970."""
    label: str | None = None
    """The file that a frame came from, where each has its own."""
    place: int = 0
    """The number of the lane that computes it."""
    home: Image | None = None
    """The lane's own buffer, where pictures of its size belong."""
    started: int = 0
    """Its turn had come."""
    submitted: int = 0
    """The runtime had begun with it."""
    done: int = 0
    """Its mask was in the host's memory."""

    def stamp(self) -> None:
        """Note that the frame arrived now."""
        self.arrival, self.clock = time.perf_counter_ns(), time.time()

    def go_home(self) -> None:
        """Offer the lane's buffer again to a source whose pictures have its size."""
        if self.home is not None and self.image.shape == self.home.shape:
            self.image = self.home


class Source(Closing, ABC):
    """Where frames come from; read by one thread."""

    live = False
    """Whether the world goes on while nobody reads."""
    reconnects = 0
    """How often a lost camera came back."""
    broken = 0
    """Frames that a camera announced and did not deliver."""

    def __init__(self, name: str, fps: float) -> None:
        self.name = name
        self.fps = fps
        self.stopping = threading.Event()
        """Set when the stream ends; a source that waits stops waiting."""

    @abstractmethod
    def read_into(self, frame: Frame) -> bool:
        """Fill image and label with the next frame; a live source stamps its arrival.

        False at the end. SourceError when a source fails for good.
        """


class Ring:
    """Frames between one capturing and one inferring thread, under one condition."""

    def __init__(self, frames: Iterable[Frame], *, live: bool) -> None:
        self._live = live
        self._free = list(frames)
        self._ready: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._closed = self._finished = False
        self._error: BaseException | None = None
        self._count = 0
        self.dropped = 0

    def claim(self) -> Frame | None:
        """Wait for a frame to fill; None when the stream has ended. Capture's side."""
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._closed)
            return None if self._closed else self._free.pop()

    def publish(self, frame: Frame) -> None:
        """Hand a filled frame over; in a live ring it replaces an unread one. Capture's side."""
        with self._changed:
            if self._live and self._ready:
                self._free.append(self._ready.popleft())
                self.dropped += 1
            frame.index = self._count
            self._count += 1
            self._ready.append(frame)
            self._changed.notify_all()

    def finish(self, error: BaseException | None = None) -> None:
        """Say that no frame follows, and why if something failed. Capture's side."""
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()

    def take(self, timeout: float) -> Frame | None:
        """Return the next frame, or None after `timeout` seconds, at the end and when closed.

        What stopped the capture is raised here, after the frames that came before it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._finished or self._closed, timeout)
            if self._ready:
                return self._ready.popleft()
            if self._error is not None:
                raise self._error
            return None

    def release(self, frame: Frame) -> None:
        """Give a taken frame back to be filled again."""
        frame.go_home()
        with self._changed:
            self._free.append(frame)
            self._changed.notify_all()

    @property
    def over(self) -> bool:
        """Whether the source came to its end, without an error, and each frame was taken."""
        with self._changed:
            return self._finished and not self._ready and self._error is None

    @property
    def closed(self) -> bool:
        """Whether the stream has ended."""
        return self._closed

    def close(self) -> None:
        """End the hand-over; a capture that waits for room returns, and so does `take`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
