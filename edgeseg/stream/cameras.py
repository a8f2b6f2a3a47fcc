"""Cameras: real ones, that get lost and come back, and a software one to try a stream with.

A camera in a factory is unplugged, starved of bandwidth and restarted. A few broken frames are
counted and passed over; more of them, and the connection is made anew, with growing pauses, until
the limit is reached and the stream ends with an error.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from edgeseg.errors import SourceError
from edgeseg.stream.ring import Frame, Source

BROKEN_FRAMES = 5  # in a row: one or two follow a USB glitch, more of them a lost camera
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds before another attempt
CLOSE_SECONDS = 1.0
USUAL_FPS = 30.0
TRY_WITHOUT = "edgeseg stream --source test://640x480@30 needs no camera"


class Device(Protocol):
    """One connection to a camera."""

    fps: float

    def read_into(self, frame: Frame) -> bool:
        """Wait for a frame, stamp and fill it; False when it is broken or the camera is gone."""
        ...

    def close(self) -> None: ...


class Camera(Source):
    """A live source that connects again when its device is lost."""

    live = True

    def __init__(
        self,
        name: str,
        connect: Callable[[], Device],
        *,
        attempts: int,
        say: Callable[[str], None],
    ) -> None:
        self._connect, self._limit, self._say = connect, attempts, say
        self._device = connect()
        self._attempts = 0  # since the last good frame
        self._reading = threading.Lock()
        super().__init__(name, self._device.fps)

    def read_into(self, frame: Frame) -> bool:
        failures = 0
        with self._reading:
            while not self.stopping.is_set():
                if self._device.read_into(frame):
                    self._attempts = 0
                    return True
                self.broken += 1
                failures += 1
                if failures == BROKEN_FRAMES:
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
            self._say(
                f"{self.name} delivers no frame; attempt {self._attempts} of {self._limit} "
                f"in {pause:g} s"
            )
            if self.stopping.wait(pause):
                return
            try:
                self._device = self._connect()
            except SourceError:
                continue
            self.reconnects += 1
            return

    def close(self) -> None:
        # A driver that hangs in a read keeps the device; the end of the process frees it.
        if self._reading.acquire(timeout=CLOSE_SECONDS):
            self._device.close()
            self._reading.release()


class OpenCVDevice:
    """A camera that OpenCV opens: by its index, or by its path such as /dev/video0."""

    def __init__(self, address: int | str, size: tuple[int, int]) -> None:
        """Open the camera and ask it for frames of `size` (height, width).

        Few cameras have every size; they answer with one of their own, which the loop resizes.
        """
        quiet()
        driver = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        self._capture = cv2.VideoCapture(address, driver)
        if not self._capture.isOpened():
            raise _missing(address)
        height, width = size
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or USUAL_FPS

    def read_into(self, frame: Frame) -> bool:
        if not self._capture.grab():
            return False
        frame.stamp()  # before the frame is decoded: that time is part of the latency
        try:
            done, image = self._capture.retrieve(frame.image)
        except cv2.error:  # a damaged JPEG
            return False
        if not done or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            return False
        frame.image = image  # type: ignore[assignment]  # the stubs know no type of pixel
        return True

    def close(self) -> None:
        self._capture.release()


class SoftwareCamera(Source):
    """A camera of software: a plate with a moving dark spot and the number of the frame on it."""

    live = True

    def __init__(self, height: int, width: int, fps: float) -> None:
        super().__init__(f"test://{width}x{height}@{fps:g}", fps)
        rows, columns = np.mgrid[0:height, 0:width]
        grain = np.random.default_rng(0).normal(0.0, 4.0, (height, width))
        brushed = 140 + 20 * np.sin(rows / 7.0) + 15 * columns / width + grain
        self._plate = np.repeat(brushed.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
        self._start: float | None = None
        self._count = 0

    def read_into(self, frame: Frame) -> bool:
        if self._start is None:
            self._start = time.monotonic()
        due = self._start + self._count / self.fps
        if self.stopping.wait(max(due - time.monotonic(), 0.0)):
            return False
        if frame.image.shape != self._plate.shape:
            frame.image = np.empty_like(self._plate)
        self._draw(frame)
        frame.stamp()
        self._count += 1
        return True

    def _draw(self, frame: Frame) -> None:
        height, width = self._plate.shape[:2]
        np.copyto(frame.image, self._plate)
        spot = (self._count * 3 % width, height // 2)
        cv2.circle(frame.image, spot, max(height // 16, 1), (30, 30, 40), -1)
        place, scale = (4, max(height // 10, 10)), max(height / 480, 0.3)
        cv2.putText(
            frame.image, f"{self._count}", place, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1
        )


def quiet() -> None:
    """Keep OpenCV's and FFmpeg's warnings off standard error: our errors say it with a remedy."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET


def _missing(address: int | str) -> SourceError:
    """Tell a camera that is not there from one that does not open."""
    node = Path(f"/dev/video{address}" if isinstance(address, int) else address)
    present = sorted(str(path) for path in Path("/dev").glob("video*"))
    if node.exists():
        return SourceError(
            f"The camera {node} is there and does not open: another program holds it, this user "
            "may not read it, or it is no capture device.",
            remedy=f"close the other program, or: sudo usermod -aG video $USER; {TRY_WITHOUT}",
        )
    found = f"has {', '.join(present)}" if present else "has no /dev/video*"
    if sys.platform != "linux":
        found = "shows none under that number"
    return SourceError(
        f"There is no camera {address}: this machine {found}.",
        remedy=f"plug it in, or name another: --camera 1; {TRY_WITHOUT}",
    )
