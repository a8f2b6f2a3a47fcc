"""The newest JPEG of a network stream, read in a thread of its own.

FFmpeg keeps what it has not been asked for, and so does the network: a stream whose JPEGs are read
one by one while they are decoded falls behind when decoding takes longer than a frame lasts, and
its frames become stale without a sign. Here the network is read all the time, and the newest JPEG
is decoded. Those that came with it at once, as networks deliver two or three, are decoded in order.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import cv2

from edgeseg.stream.source.base import CLOSE_SECONDS
from edgeseg.stream.source.mjpeg import BrokenFrame

BURST = 10_000_000  # nanoseconds
MOST = 8  # packets of a burst


@dataclass(frozen=True)
class Packet:
    """A JPEG as it arrived."""

    jpeg: bytes
    arrival: int
    """Nanoseconds of `time.perf_counter_ns`."""
    error: BrokenFrame | None = None
    """Why there is no JPEG."""


class NewestPacket:
    """Reads a capture that delivers packets, until it ends or is closed."""

    def __init__(self, capture: cv2.VideoCapture, retrieve: Callable[[], bytes]) -> None:
        """retrieve: returns the grabbed packet; BrokenFrame if there is none."""
        self._capture, self._retrieve = capture, retrieve
        self._changed = threading.Condition()
        self._waiting: deque[Packet] = deque()
        self._ended = self._closing = False
        self.skipped = 0
        """Packets that a newer one followed before they were taken."""
        self._thread = threading.Thread(target=self._read, name="packets", daemon=True)

    def take(self) -> Packet | None:
        """Wait for the newest packet, or the next one of its burst; None at the end."""
        if self._thread.ident is None:
            self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if not self._waiting:
                return None
            while self._waiting[0].arrival < self._waiting[-1].arrival - BURST:
                self._skip()
            return self._waiting.popleft()

    def close(self) -> bool:
        """End the thread; False if it is blocked in a read, and still has the capture."""
        self._closing = True
        if self._thread.ident is None:
            return True
        self._thread.join(CLOSE_SECONDS)
        return not self._thread.is_alive()

    def _skip(self) -> None:
        self._waiting.popleft()
        self.skipped += 1

    def _read(self) -> None:
        try:
            while not self._closing and self._capture.grab():
                arrival = time.perf_counter_ns()
                try:
                    packet = Packet(self._retrieve(), arrival)
                except BrokenFrame as error:
                    packet = Packet(b"", arrival, error)
                with self._changed:
                    self._waiting.append(packet)
                    if len(self._waiting) > MOST:
                        self._skip()
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
