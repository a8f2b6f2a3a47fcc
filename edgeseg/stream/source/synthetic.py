"""A synthetic camera, test://640x480@30, for trying a stream and for measuring its latency.

Each frame carries its number and the time of its creation, for people and as a binary code in the
lower left corner. The code has 3 rows of 32 cells, white for 1 and black for 0, highest bit first:

    row 0       frame number, 32 bits
    row 1, 2    microseconds of `time.perf_counter_ns` (the clock of `Frame.arrival`; on Linux
                CLOCK_MONOTONIC, the same in every process), 48 bits; then a checksum, 16 bits

A cell is 8 pixels wide, like a block of JPEG and MPEG, and so survives their compression. Images
narrower than 256 pixels have cells of 4, 2 or 1 pixels, which may not.
"""

import binascii
import time
from dataclasses import dataclass

import cv2
import numpy as np

from edgeseg.data.images import Image
from edgeseg.errors import ConfigError, SourceError
from edgeseg.settings import parse_size
from edgeseg.stream.source.base import Frame, Source

ROWS, COLUMNS = 3, 32
CELLS = (8, 4, 2, 1)  # pixels
HEIGHT_SHARE = 4  # the code takes at most 1/4 of the image height


def open_synthetic(text: str) -> "SyntheticCamera":
    """Open the camera of `WIDTHxHEIGHT@FPS`."""
    size, _, rate = text.partition("@")
    try:
        height, width = parse_size(size, "test://")
        fps = float(rate or 30)
        if not 0 < fps <= 10_000:
            raise ValueError(rate)
    except (ConfigError, ValueError) as error:
        raise SourceError(
            f"invalid source: 'test://{text}' (expected test://WIDTHxHEIGHT@FPS, FPS up to 10000).",
            remedy="--source test://640x480@30",
            code="source/invalid-test",
        ) from error
    return SyntheticCamera(height, width, fps)


class SyntheticCamera(Source):
    """A metal plate with a moving dark spot, at a constant rate."""

    live = True
    path = "bgr, drawn"

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
        frame.buffer("bgr", self._plate.shape)
        frame.writes, frame.sequence = 1, self._count
        self._draw(frame)
        frame.stamp()
        self._count += 1
        return True

    def _draw(self, frame: Frame) -> None:
        stamp = Stamp(self._count, time.perf_counter_ns() // 1000)
        height, width = self._plate.shape[:2]
        np.copyto(frame.image, self._plate)
        center = (self._count * 3 % width, height // 2)
        cv2.circle(frame.image, center, max(height // 16, 1), (30, 30, 40), -1)
        draw_stamp(frame.image, stamp)


@dataclass(frozen=True)
class Stamp:
    """Number and time in an image."""

    count: int
    """Frame number, from 0."""
    microseconds: int
    """Creation time of the frame, on the clock of `Frame.arrival`."""

    def delay(self, arrival: int) -> float:
        """Return the seconds from creation to arrival; arrival in nanoseconds."""
        return arrival / 1e9 - self.microseconds / 1e6


def draw_stamp(image: Image, stamp: Stamp) -> None:
    """Draw a stamp into a uint8 image [H, W, C]; a small image gets no code."""
    height = image.shape[0]
    text = f"{stamp.count}  {stamp.microseconds / 1e6:.6f} s"
    place, scale = (4, max(height // 10, 10)), max(height / 480, 0.3)
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1)
    cell = _cell(image)
    if cell:
        bits = np.unpackbits(np.frombuffer(_pack(stamp), np.uint8)).reshape(ROWS, COLUMNS)
        code = np.repeat(np.repeat(bits * np.uint8(255), cell, axis=0), cell, axis=1)
        image[-ROWS * cell :, : COLUMNS * cell] = code[:, :, None]


def read_stamp(image: Image) -> Stamp | None:
    """Read a stamp from an image of the size that it was drawn at; None without a valid one."""
    cell = _cell(image)
    if not cell:
        return None
    code = image[-ROWS * cell :, : COLUMNS * cell].reshape(ROWS, cell, COLUMNS, cell, -1)
    data = np.packbits(code.mean(axis=(1, 3, 4)) >= 128).tobytes()
    stamp = Stamp(int.from_bytes(data[:4], "big"), int.from_bytes(data[4:10], "big"))
    return stamp if _pack(stamp) == data else None


def _pack(stamp: Stamp) -> bytes:
    numbers = (stamp.count % 2**32).to_bytes(4, "big")
    numbers += (stamp.microseconds % 2**48).to_bytes(6, "big")
    # Initial value 0xFFFF, so that neither a black nor a white image is a valid code.
    return numbers + binascii.crc_hqx(numbers, 0xFFFF).to_bytes(2, "big")


def _cell(image: Image) -> int:
    """Return the side of a cell in pixels; 0 if there is no room."""
    height, width = image.shape[:2]
    fits = (c for c in CELLS if c * COLUMNS <= width and c * ROWS * HEIGHT_SHARE <= height)
    return next(fits, 0)
