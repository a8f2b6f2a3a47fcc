"""Cameras get lost and come back.

A camera in a factory is unplugged, starved of bandwidth and restarted. A few broken frames are
counted and passed over; more of them, and the connection is made anew, with growing pauses, until
the limit is reached and the stream ends with an error.
"""

import os
import threading
from collections.abc import Callable
from typing import Protocol

import cv2

from edgeseg.errors import SourceError
from edgeseg.log import log
from edgeseg.stream.pipeline.ring import Frame, Source

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds before another attempt
CLOSE_SECONDS = 1.0


class Device(Protocol):
    """One connection to a camera."""

    fps: float
    note: str
    """What it was asked for and what it delivers, to follow the camera's name."""
    patience: int
    """This many broken frames in a row, and it is lost."""

    def read_into(self, frame: Frame) -> bool:
        """Wait for a frame, stamp and fill it; False when it is broken or the camera is gone."""
        ...

    def close(self) -> None: ...


class Camera(Source):
    """A live source that connects again when its device is lost."""

    live = True

    def __init__(self, name: str, connect: Callable[[], Device], *, attempts: int) -> None:
        self._connect, self._limit = connect, attempts
        self._device = connect()
        self._attempts = 0  # since the last good frame
        self._reading = threading.Lock()
        super().__init__(name, self._device.fps)
        log.info(f"{name} {self._device.note}")

    def read_into(self, frame: Frame) -> bool:
        failures = 0
        with self._reading:
            while not self.stopping.is_set():
                if self._device.read_into(frame):
                    self._attempts = 0
                    return True
                self.broken += 1
                failures += 1
                if failures >= self._device.patience:
                    self._reconnect()
                    failures = 0
        return False

    def _reconnect(self) -> None:
        """Connect again, or raise SourceError when the limit is reached."""
        self._device.close()
        while True:
            if self._attempts == self._limit:
                raise SourceError(
                    f"{self.name} was lost and did not deliver a frame again "
                    f"in {self._limit} attempts.",
                    remedy="check its cable and power, then start again; "
                    "--reconnects 100 waits longer",
                )
            pause = min(FIRST_PAUSE * 2**self._attempts, LONGEST_PAUSE)
            self._attempts += 1
            log.info(
                f"{self.name} delivers no frame; attempt {self._attempts} of {self._limit} "
                f"in {pause:g} s"
            )
            if self.stopping.wait(pause):
                return
            before = self._device.note
            try:
                self._device = self._connect()
            except SourceError:
                continue
            self.reconnects += 1
            if self._device.note != before:
                log.info(f"{self.name} {self._device.note}")
            return

    def close(self) -> None:
        # A driver that hangs in a read keeps the device; the end of the process frees it.
        if self._reading.acquire(timeout=CLOSE_SECONDS):
            self._device.close()
            self._reading.release()


def quiet() -> None:
    """Keep OpenCV's and FFmpeg's warnings off standard error: our errors say it with a remedy."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
