"""A camera of software, to try a stream with and to measure it against."""

import time

import cv2
import numpy as np

from edgeseg.stream.pipeline.ring import Frame, Source
from edgeseg.stream.source.stamps import Stamp, draw_stamp


class SoftwareCamera(Source):
    """A plate with a moving dark spot; the frame's number and time stand in the picture."""

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
        exposed = Stamp(self._count, time.perf_counter_ns() // 1000)
        height, width = self._plate.shape[:2]
        np.copyto(frame.image, self._plate)
        spot = (self._count * 3 % width, height // 2)
        cv2.circle(frame.image, spot, max(height // 16, 1), (30, 30, 40), -1)
        draw_stamp(frame.image, exposed)
