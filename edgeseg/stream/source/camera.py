"""Cameras: connection, requested mode, and reconnection after a loss.

Broken frames are counted, and delivered with their fault. After many in a row, or if none arrive,
the connection is reopened with increasing pauses, until the limit of attempts is reached and the
stream ends with an error.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import cv2

from edgeseg.config import StreamConfig
from edgeseg.errors import SourceError
from edgeseg.frame.pixel_formats import FrameFormat
from edgeseg.log import log
from edgeseg.stream.source.base import CLOSE_SECONDS, Frame, Source
from edgeseg.stream.source.decoding import Decoding
from edgeseg.stream.source.mjpeg import BrokenFrame, log_broken
from edgeseg.stream.source.retrieve import Retriever

MOST_BROKEN = 30  # consecutive broken frames after which the camera counts as lost
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds before another attempt
DEFAULT_FPS = 30.0
MAX_FPS = 1000.0  # a network stream without a frame rate reports its clock, 90000
SAME_RATE = 0.01  # 29.97 counts as 30
TRY_WITHOUT = "without a camera: edgeseg stream --source test://640x480@30"


@dataclass(frozen=True)
class Mode:
    """Frame size, rate and pixel format of a camera; None if not requested or unknown."""

    size: tuple[int, int] | None = None
    """(height, width)"""
    fps: float | None = None
    format: str | None = None
    """As --camera-format names it; the FOURCC for any other format that a camera delivers."""

    @classmethod
    def of(cls, config: StreamConfig) -> "Mode":
        """Return the mode that the settings request."""
        size = None
        if config.width is not None and config.height is not None:
            size = (config.height, config.width)
        return cls(size, config.fps, config.camera_format)

    def or_size(self, size: tuple[int, int]) -> "Mode":
        """Return this mode with `size` if it has none."""
        return self if self.size else replace(self, size=size)

    def note(self, delivered: "Mode") -> str:
        """Describe the requested mode, and the delivered one if it differs."""
        fps = self.fps
        if fps and delivered.fps and abs(fps - delivered.fps) <= SAME_RATE * fps:
            delivered = replace(delivered, fps=fps)
        pairs = (
            (self.size, delivered.size),
            (self.fps, delivered.fps),
            (self.format, delivered.format),
        )
        differs = any(wanted is not None and wanted != got for wanted, got in pairs)
        return f"requested {self}" + (f", delivers {delivered}" if differs else "")

    def __str__(self) -> str:
        words = [f"{self.size[1]}x{self.size[0]}"] if self.size else []
        words += [f"{self.fps:g} frames/s"] if self.fps else []
        words += [self.format] if self.format else []
        return ", ".join(words) or "frames"


class LostConnection(Exception):
    """The camera is gone, and no further read can succeed."""


class Connection(Protocol):
    """One connection to a camera; a lost one is closed and replaced."""

    fps: float
    note: str
    """Requested and delivered mode, for the log."""
    skipped: int
    """Frames so far that a newer one followed before they were read."""
    driver_drops: int
    """Frames so far that the driver counted and did not deliver."""
    max_missing: int
    """Consecutive reads without a frame after which the camera counts as lost."""

    @property
    def path(self) -> str:
        """As of `Source`."""
        ...

    @property
    def decoding(self) -> Decoding | None:
        """Decides which frames are decoded; None if all are."""
        ...

    def read_into(self, frame: Frame) -> bool:
        """Wait for a frame, stamp and read it; False if none came. BrokenFrame: it is damaged."""
        ...

    def close(self) -> None: ...


class CaptureConnection:
    """A connection through an opened cv2.VideoCapture.

    The arrival is stamped between grab and retrieve. MJPEG and a USB camera's frame are decoded
    after that; other frames of FFmpeg or GStreamer before it, so that their decoding is not part of
    the latency.
    """

    path = ""
    skipped = driver_drops = 0
    decoding: Decoding | None = None
    max_missing = 1  # FFmpeg and GStreamer retry by themselves; no frame means a lost connection

    def __init__(
        self, capture: cv2.VideoCapture, kind: FrameFormat | None = "bgr", *, writes: int
    ) -> None:
        """kind, writes: of frames that are no JPEGs, as of `Retriever`."""
        self._capture = capture
        self._retriever = Retriever(capture, kind, writes=writes)
        rate = capture.get(cv2.CAP_PROP_FPS)
        known = 0.0 < rate <= MAX_FPS
        self.fps = rate if known else DEFAULT_FPS
        sides = cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH
        height, width = (int(capture.get(side)) for side in sides)
        self.mode = Mode((height, width), rate if known else None)
        self.note = f"delivers {self.mode}"

    def read_into(self, frame: Frame) -> bool:
        if not self._capture.grab():
            return False
        frame.stamp()  # before decoding, which is part of the latency
        self._retriever.read_into(frame)
        return True

    def close(self) -> None:
        self._capture.release()


class Camera(Source):
    """A live source that reconnects after a loss."""

    live = True

    def __init__(self, name: str, connect: Callable[[], Connection], *, attempts: int) -> None:
        self._connect, self._limit = connect, attempts
        self._connection = connect()
        self._attempts = self._missing = self._damaged = 0  # since the last good frame
        self._reading = threading.Lock()
        self._before = (0, 0)  # frames that former connections skipped and dropped
        super().__init__(name, self._connection.fps)
        self.path = self._connection.path
        log.info(f"{name}: {self._connection.note}")

    def read_into(self, frame: Frame) -> bool:
        with self._reading:
            while not self.stopping.is_set():
                if self._missing >= self._connection.max_missing or self._damaged >= MOST_BROKEN:
                    self._reconnect()
                    self._missing = self._damaged = 0
                    continue
                try:
                    if self._read(frame):
                        self._attempts = self._missing = self._damaged = 0
                        return True
                    if self.stopping.is_set():
                        break
                    self._missing += 1
                    self.broken += 1
                except LostConnection:
                    self._missing = self._connection.max_missing
                    self.broken += 1
                except BrokenFrame as error:
                    log_broken(self, error)
                    self._damaged += 1
                    self.broken += 1
                    frame.fault = error.fault
                    return True
        return False

    def _read(self, frame: Frame) -> bool:
        if self._connection.decoding is not None:
            self._connection.decoding.needed = self.needed
        try:
            return self._connection.read_into(frame)
        finally:
            skipped, drops = self._before
            self.skipped = skipped + self._connection.skipped
            self.driver_drops = drops + self._connection.driver_drops

    def _reconnect(self) -> None:
        """Reconnect; SourceError after the last attempt."""
        self._connection.close()
        self._before = (self.skipped, self.driver_drops)
        while True:
            if self._attempts == self._limit:
                raise SourceError(
                    f"camera lost: {self.name} delivered no frame after {self._limit} attempts "
                    "to reconnect.",
                    remedy="check its cable and power, then start again; or wait longer: "
                    "--reconnects 100",
                    code="source/lost",
                )
            pause = min(FIRST_PAUSE * 2**self._attempts, LONGEST_PAUSE)
            self._attempts += 1
            log.warning(
                f"{self.name}: no frame; reconnecting in {pause:g} s "
                f"(attempt {self._attempts} of {self._limit})"
            )
            if self.stopping.wait(pause):
                return
            before = self._connection.note
            try:
                self._connection = self._connect()
            except SourceError:
                continue
            self.reconnects += 1
            self.path = self._connection.path
            if self._connection.note != before:
                log.info(f"{self.name}: {self._connection.note}")
            return

    def close(self) -> None:
        # A driver that blocks in a read keeps the connection until the process exits.
        if self._reading.acquire(timeout=CLOSE_SECONDS):
            self._connection.close()
            self._reading.release()


@dataclass(frozen=True)
class CameraOptions:
    """Settings that cameras are opened with."""

    requested: Mode
    size: tuple[int, int]
    """(height, width) of the graph's frames."""
    attempts: int
    frame_format: FrameFormat = "bgr"
    """Of the graph."""

    def camera(self, name: str, connect: Callable[[], Connection]) -> Camera:
        """Open a camera."""
        return Camera(name, connect, attempts=self.attempts)

    def warn_unused(self, name: str, *, live: bool = True) -> None:
        """Log what a source does not support of the requested mode; a file has --fps."""
        unused = self.requested if live else replace(self.requested, fps=None)
        if unused != Mode():
            log.warning(
                f"--width, --height, --fps and --camera-format apply only to USB and CSI cameras; "
                f"ignored for {name}: {unused}"
            )
